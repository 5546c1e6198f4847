"""The identity of a run: one pipeline at one logical date over one state of its data.

A run's id consists of the logical date and of fingerprints of the definition and of the data that it reads. So a rerun finds its
run, a killed run resumes where it stopped, and next week's retraining is a new run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sagemaker_entry
from app.sql import naive_utc

if TYPE_CHECKING:
    from app.spec import PipelineFile

#: The code that trains and predicts.
ENTRY = Path(sagemaker_entry.__file__).parent


@dataclass(frozen=True)
class Run:
    """One run. ``as_of``: the logical date's first moment; views for scoring are cut there.

    ``rebuilds``: a time in the past. The run computes no features, and takes the slices that the store held at that time.
    """

    pipeline: str
    id: str
    logical_date: date
    known_at: datetime
    rebuilds: datetime | None = None

    @property
    def as_of(self) -> datetime:
        return datetime.combine(self.logical_date, time())

    def uri(self, bucket: str, stage: str) -> str:
        """The folder of one stage on S3, with a final slash."""
        return f"s3://{bucket}/{self.key(stage)}"

    def key(self, stage: str) -> str:
        """The same folder, relative to the bucket."""
        return f"{self.pipeline}/{self.id}/{stage}/"


#: What the trained model does not depend on: the gate, where and how long the job may run, where the local cloud takes rows from,
#: who answers for a view and what it is for, and later stages. These compare their settings with the world instead. The logical
#: date is a part of the run's id itself.
_NOT_TRAINED_ON: dict[str, Any] = {
    "training": {"gate", "instance", "max_runtime"},
    "sources": {"__all__": {"seed", "tiles", "policies"}},
    "features": {"__all__": {"owner", "description"}},
    **dict.fromkeys(("logical_date", "warehouse", "serving", "batch", "monitoring", "schedule"), True),
}


def definition_fingerprint(file: PipelineFile, entry: Path = ENTRY) -> str:
    """A digest of the validated pipeline as far as the model depends on it, of every .py and .sql file below its folder, and of the
    code in ``entry``.
    """
    digest = hashlib.sha256(file.pipeline.model_dump_json(exclude=_NOT_TRAINED_ON).encode())
    for folder in (file.folder, entry):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".sql"):
                digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def run_id(logical_date: date, definition: str, data: str) -> str:
    """``19980701-`` and eight hexadecimal digits of a digest of definition and data."""
    return f"{logical_date:%Y%m%d}-{hashlib.sha256(f'{definition}/{data}'.encode()).hexdigest()[:8]}"


def query_tag(run: Run, stage: str) -> str:
    """What QUERY_HISTORY shows with the statements of a stage, as JSON, so that their cost can be summed up by pipeline."""
    return json.dumps({"app": "snowsage", "pipeline": run.pipeline, "run": run.id, "stage": stage})


def now() -> datetime:
    """The current time as TIMESTAMP_NTZ holds it: UTC, without a zone, in microseconds."""
    return naive_utc(datetime.now(UTC))


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
