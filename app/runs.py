"""A run: one pipeline at one logical date over one state of its data; and the ledger of its finished stages.

A run's id is made of the logical date and of fingerprints of the definition and of the data it reads. So a rerun finds the run,
a killed one resumes where it stopped, and next week's retraining is another run. The ledger, ``ML.RUNS``, holds one row for the
run itself and one for each finished stage with what that stage handed down.

The one surprise: ``known_at``, the time at which the run first looked at its sources, is kept from the first start on, so that
everything a resumed run writes carries the same knowledge time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

import sagemaker_entry
from app.errors import NotFound
from app.ports import Row, Warehouse
from app.spec import PipelineFile
from app.sql import Name, Statement, naive_utc

LEDGER = Name.of("ML", "RUNS")

#: The code that trains and predicts.
ENTRY = Path(sagemaker_entry.__file__).parent

#: The ledger's row for the run itself, beside those of its stages.
_RUN = "run"

_CREATE = f"""CREATE TABLE IF NOT EXISTS {LEDGER.sql} (
    RUN_ID VARCHAR NOT NULL, PIPELINE VARCHAR NOT NULL, STAGE VARCHAR NOT NULL, LOGICAL_DATE DATE NOT NULL,
    KNOWN_AT TIMESTAMP_NTZ NOT NULL, FINISHED_AT TIMESTAMP_NTZ NOT NULL, SECONDS FLOAT, RESULT VARCHAR
)"""

_RECORD = f"""MERGE INTO {LEDGER.sql} AS t
USING (SELECT ? AS RUN_ID, ? AS PIPELINE, ? AS STAGE, ?::DATE AS LOGICAL_DATE, ?::TIMESTAMP_NTZ AS KNOWN_AT,
              ?::TIMESTAMP_NTZ AS FINISHED_AT, ?::FLOAT AS SECONDS, ? AS RESULT) AS s
ON t.RUN_ID = s.RUN_ID AND t.STAGE = s.STAGE
WHEN MATCHED THEN UPDATE SET FINISHED_AT = s.FINISHED_AT, SECONDS = s.SECONDS, RESULT = s.RESULT
WHEN NOT MATCHED THEN INSERT (RUN_ID, PIPELINE, STAGE, LOGICAL_DATE, KNOWN_AT, FINISHED_AT, SECONDS, RESULT)
VALUES (s.RUN_ID, s.PIPELINE, s.STAGE, s.LOGICAL_DATE, s.KNOWN_AT, s.FINISHED_AT, s.SECONDS, s.RESULT)"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Run:
    """One run. ``as_of``: the logical date's first moment; views for scoring are cut there."""

    pipeline: str
    id: str
    logical_date: date
    known_at: datetime

    @property
    def as_of(self) -> datetime:
        return datetime.combine(self.logical_date, time())

    def uri(self, bucket: str, stage: str) -> str:
        """The folder of one stage on S3, with a slash at its end."""
        return f"s3://{bucket}/{self.key(stage)}"

    def key(self, stage: str) -> str:
        """The same folder, seen from the bucket."""
        return f"{self.pipeline}/{self.id}/{stage}/"


def definition_fingerprint(file: PipelineFile, entry: Path = ENTRY) -> str:
    """Over the validated pipeline, every .py and .sql file below its folder, and the code in ``entry``."""
    digest = hashlib.sha256(file.pipeline.model_dump_json().encode())
    for folder in (file.folder, entry):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".sql"):
                digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def run_id(logical_date: date, definition: str, data: str) -> str:
    """``19980701-`` and eight hexadecimal digits over definition and data."""
    return f"{logical_date:%Y%m%d}-{hashlib.sha256(f'{definition}/{data}'.encode()).hexdigest()[:8]}"


class Ledger:
    """Finished stages of runs, in ``ML.RUNS``."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def look_up(self, pipeline: str, logical_date: date, definition: str, data: str) -> Run:
        """The run with this identity: as it was begun, or as it would begin now. Writes nothing."""
        id = run_id(logical_date, definition, data)
        rows = self._rows("KNOWN_AT", id, _RUN)
        return Run(pipeline, id, logical_date, rows[0][0] if rows else now())

    def begin(self, run: Run) -> None:
        """Write down that the run was begun, unless it was before."""
        self._warehouse.run(Statement(_CREATE))
        if not self._rows("KNOWN_AT", run.id, _RUN):
            self._write(run, _RUN, None, "{}")

    def find(self, run: Run, stage: str, kind: type[Result]) -> Result | None:
        """What a finished stage handed down; None where it has not finished."""
        rows = self._rows("RESULT", run.id, stage)
        return TypeAdapter(kind).validate_json(rows[0][0]) if rows else None

    def record(self, run: Run, stage: str, result: object, seconds: float) -> None:
        """Write down that a stage finished; again where it was done again."""
        self._write(run, stage, seconds, TypeAdapter(type(result)).dump_json(result).decode())

    def _rows(self, column: str, id: str, stage: str) -> list[Row]:
        query = f"SELECT {column} FROM {LEDGER.sql} WHERE RUN_ID = ? AND STAGE = ?"
        try:
            return self._warehouse.run(Statement(query, (id, stage))).rows
        except NotFound:
            return []  # no run was ever begun here

    def _write(self, run: Run, stage: str, seconds: float | None, result: str) -> None:
        binds = (run.id, run.pipeline, stage, run.logical_date, run.known_at, now(), seconds, result)
        self._warehouse.run(Statement(_RECORD, binds))


def now() -> datetime:
    """This moment as TIMESTAMP_NTZ holds it: UTC, without a zone, in microseconds."""
    return naive_utc(datetime.now(UTC))


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
