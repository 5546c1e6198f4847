"""The ledger of runs, ``ML.RUNS``: one row for a run itself, and one for each finished stage with its result.

``known_at``, the time at which a run first read its sources, is kept when a run resumes, so that everything that the
run writes carries the same knowledge time. Rows are written by MERGE: Snowflake runs one at a time, so a run has one row for each
stage even if two processes write it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import TypeVar

from pydantic import TypeAdapter

from app.errors import NotFound
from app.ports import Row, Warehouse
from app.runs.identity import Run, now, run_id
from app.sql import Name, Statement

LEDGER = Name.of("ML", "RUNS")

#: The ledger's row for the run itself, next to those of its stages.
_RUN = "run"

_CREATE = f"""CREATE TABLE IF NOT EXISTS {LEDGER.sql} (
    RUN_ID VARCHAR NOT NULL, PIPELINE VARCHAR NOT NULL, STAGE VARCHAR NOT NULL, LOGICAL_DATE DATE NOT NULL,
    KNOWN_AT TIMESTAMP_NTZ NOT NULL, FINISHED_AT TIMESTAMP_NTZ NOT NULL, SECONDS FLOAT, RESULT VARCHAR
)"""

_MERGE = f"""MERGE INTO {LEDGER.sql} AS t
USING (SELECT ? AS RUN_ID, ? AS PIPELINE, ? AS STAGE, ?::DATE AS LOGICAL_DATE, ?::TIMESTAMP_NTZ AS KNOWN_AT,
              ?::TIMESTAMP_NTZ AS FINISHED_AT, ?::FLOAT AS SECONDS, ? AS RESULT) AS s
ON t.RUN_ID = s.RUN_ID AND t.STAGE = s.STAGE
"""
_UPDATE = "WHEN MATCHED THEN UPDATE SET FINISHED_AT = s.FINISHED_AT, SECONDS = s.SECONDS, RESULT = s.RESULT\n"
_INSERT = """WHEN NOT MATCHED THEN INSERT (RUN_ID, PIPELINE, STAGE, LOGICAL_DATE, KNOWN_AT, FINISHED_AT, SECONDS, RESULT)
VALUES (s.RUN_ID, s.PIPELINE, s.STAGE, s.LOGICAL_DATE, s.KNOWN_AT, s.FINISHED_AT, s.SECONDS, s.RESULT)"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class RecordedRun:
    """A run in the ledger. ``stages``: those that have finished, in order. ``last_at``: when the last of them did, in UTC."""

    id: str
    logical_date: date
    started_at: datetime
    stages: tuple[str, ...]
    last_at: datetime


class Ledger:
    """Finished stages of runs, in ``ML.RUNS``."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def look_up(
        self, pipeline: str, logical_date: date, definition: str, data: str, rebuilds: datetime | None = None
    ) -> Run:
        """The run with this identity: as it started before, or as it would start now. Writes nothing."""
        id = run_id(logical_date, definition, data)
        rows = self._rows("KNOWN_AT", id, _RUN)
        return Run(pipeline, id, logical_date, rows[0][0] if rows else now(), rebuilds)

    def begin(self, run: Run) -> Run:
        """Record the start of the run, unless it started before. Returns the run as it is recorded.

        Of several processes that start it at the same time, the first one's ``known_at`` counts for all.
        """
        self._warehouse.run(Statement(_CREATE))
        if not (rows := self._rows("KNOWN_AT", run.id, _RUN)):
            self._write(_MERGE + _INSERT, run, _RUN, None, "{}")
            rows = self._rows("KNOWN_AT", run.id, _RUN)
        return replace(run, known_at=rows[0][0]) if rows else run

    def find(self, run: Run, stage: str, kind: type[Result]) -> Result | None:
        """The result of a finished stage; None if it has not finished."""
        rows = self._rows("RESULT", run.id, stage)
        return TypeAdapter(kind).validate_json(rows[0][0]) if rows else None

    def record(self, run: Run, stage: str, result: object, seconds: float) -> None:
        """Record that a stage finished, replacing an earlier record."""
        self._write(
            _MERGE + _UPDATE + _INSERT, run, stage, seconds, TypeAdapter(type(result)).dump_json(result).decode()
        )

    def runs(self, pipeline: str) -> list[RecordedRun]:
        """The runs of a pipeline, newest first."""
        query = (
            f"SELECT RUN_ID, LOGICAL_DATE, KNOWN_AT, STAGE, FINISHED_AT FROM {LEDGER.sql} WHERE PIPELINE = ? "
            "ORDER BY KNOWN_AT DESC, RUN_ID, FINISHED_AT"
        )
        try:
            rows = self._warehouse.run(Statement(query, (pipeline,))).rows
        except NotFound:
            return []  # no run was started yet
        grouped = [list(part) for _, part in groupby(rows, key=lambda row: row[0])]
        return [
            RecordedRun(id, day, known_at, tuple(row[3] for row in part if row[3] != _RUN), part[-1][4])
            for part in grouped
            for id, day, known_at, *_ in part[:1]
        ]

    def _rows(self, column: str, id: str, stage: str) -> list[Row]:
        query = f"SELECT {column} FROM {LEDGER.sql} WHERE RUN_ID = ? AND STAGE = ?"
        try:
            return self._warehouse.run(Statement(query, (id, stage))).rows
        except NotFound:
            return []  # no run was started yet

    def _write(self, merge: str, run: Run, stage: str, seconds: float | None, result: str) -> None:
        binds = (run.id, run.pipeline, stage, run.logical_date, run.known_at, now(), seconds, result)
        self._warehouse.run(Statement(merge, binds))
