"""Versions of a model: numbers, stages, and the table ``ML.MODEL_REGISTRY``.

A version is ``major.minor``. A new contract, which callers notice, raises the major number; a retraining on the same contract
raises the minor number. Stages: ``candidate`` (passed the gate), ``rejected`` (failed it), ``production`` (live), ``archived``
(was live before). The default version is the one in production.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.ports import Row
from app.sql import Name, Statement
from sagemaker_entry.contract import Contract

Stage = Literal["candidate", "rejected", "production", "archived"]

REGISTRY = Name.of("ML", "MODEL_REGISTRY")
VERSIONS_VIEW = Name.of("ML", "MODEL_VERSIONS")

CREATE = (
    Statement(
        f"""CREATE TABLE IF NOT EXISTS {REGISTRY.sql} (
    MODEL VARCHAR NOT NULL, VERSION VARCHAR NOT NULL, RUN_ID VARCHAR NOT NULL, STAGE VARCHAR NOT NULL,
    IS_DEFAULT BOOLEAN NOT NULL, CREATED_AT TIMESTAMP_NTZ NOT NULL, FINGERPRINT VARCHAR NOT NULL, CONTRACT VARIANT NOT NULL,
    METRICS VARIANT NOT NULL, REPORT VARIANT NOT NULL, GATE VARIANT NOT NULL, TRAINING_JOB VARCHAR NOT NULL,
    ARTIFACT_URI VARCHAR NOT NULL, ARTIFACT_SHA256 VARCHAR NOT NULL
)"""
    ),
    Statement(
        f"""CREATE VIEW IF NOT EXISTS {VERSIONS_VIEW.sql} AS
SELECT MODEL, VERSION, STAGE, IS_DEFAULT, CREATED_AT, METRICS, FINGERPRINT, RUN_ID, ARTIFACT_URI FROM {REGISTRY.sql}"""
    ),
)


@dataclass(frozen=True, order=True)
class Version:
    """``major.minor``."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version:
        major, _, minor = text.partition(".")
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True)
class RegisteredVersion:
    """The result of the registry stage. ``verdict``: the gate's sentence for each bound."""

    model: str
    version: str
    run_id: str
    stage: Stage
    contract: dict[str, Any]
    report: dict[str, Any]
    verdict: tuple[str, ...]
    training_job: str
    artifact_uri: str
    artifact_sha256: str

    def made_contract(self) -> Contract:
        """The contract as its own type."""
        return Contract.from_dict(self.contract)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics on the test part."""
        found: dict[str, float] = self.report["metrics"]["test"]
        return found


def next_version(existing: list[RegisteredVersion], fingerprint: str) -> Version:
    """The number of a new version: 1.0 first; a new major number if the contract differs from the latest version's."""
    return next_number(numbers_of(existing), fingerprint)


def numbers_of(existing: list[RegisteredVersion]) -> dict[Version, str]:
    """The numbers in use, each with the fingerprint of its contract."""
    return {Version.parse(item.version): item.made_contract().fingerprint for item in existing}


def next_number(taken: Mapping[Version, str], fingerprint: str) -> Version:
    """As :func:`next_version`, after the numbers ``taken``, each with the fingerprint of its contract."""
    if not taken:
        return Version(1, 0)
    latest = max(taken)
    same = taken[latest] == fingerprint
    return Version(latest.major, latest.minor + 1) if same else Version(latest.major + 1, 0)


_COLUMNS = "MODEL, VERSION, RUN_ID, STAGE, CONTRACT, REPORT, GATE, TRAINING_JOB, ARTIFACT_URI, ARTIFACT_SHA256"


def find_versions(model: str) -> Statement:
    """Every version of a model; read its rows by :func:`from_row`."""
    return Statement(f"SELECT {_COLUMNS} FROM {REGISTRY.sql} WHERE MODEL = ? ORDER BY CREATED_AT", (model,))


def from_row(row: Row) -> RegisteredVersion:
    """A version from a row of :func:`find_versions`; VARIANT columns arrive as JSON texts."""
    model, version, run_id, stage, contract, report, gate, job, uri, digest = row
    return RegisteredVersion(
        model,
        version,
        run_id,
        stage,
        json.loads(contract),
        json.loads(report),
        tuple(json.loads(gate)),
        job,
        uri,
        digest,
    )


#: Each column of a new row, and where its value comes from.
_STORED = {
    **dict.fromkeys(("MODEL", "VERSION", "RUN_ID", "STAGE"), "?"),
    "IS_DEFAULT": "FALSE",
    "CREATED_AT": "?::TIMESTAMP_NTZ",
    "FINGERPRINT": "?",
    **dict.fromkeys(("CONTRACT", "METRICS", "REPORT", "GATE"), "PARSE_JSON(?)"),
    **dict.fromkeys(("TRAINING_JOB", "ARTIFACT_URI", "ARTIFACT_SHA256"), "?"),
}


def insert_version(item: RegisteredVersion, created_at: datetime) -> Statement:
    """The row of a new version. A run has one version, so a second row of the same run is not written."""
    names = ", ".join(_STORED)
    return Statement(
        f"MERGE INTO {REGISTRY.sql} AS t\n"
        f"USING (SELECT {', '.join(f'{source} AS {name}' for name, source in _STORED.items())}) AS s\n"
        f"ON t.MODEL = s.MODEL AND t.RUN_ID = s.RUN_ID\n"
        f"WHEN NOT MATCHED THEN INSERT ({names})\nVALUES ({', '.join(f's.{name}' for name in _STORED)})",
        (
            item.model,
            item.version,
            item.run_id,
            item.stage,
            created_at,
            item.contract["fingerprint"],
            json.dumps(item.contract),
            json.dumps(item.metrics),
            json.dumps(item.report),
            json.dumps(item.verdict),
            item.training_job,
            item.artifact_uri,
            item.artifact_sha256,
        ),
    )


def judge_version(item: RegisteredVersion) -> Statement:
    """Write the stage and the gate's sentences of a version that was judged again, unless it went live meanwhile."""
    return Statement(
        f"UPDATE {REGISTRY.sql} SET STAGE = ?, GATE = PARSE_JSON(?) "
        "WHERE MODEL = ? AND VERSION = ? AND STAGE IN ('candidate', 'rejected')",
        (item.stage, json.dumps(item.verdict), item.model, item.version),
    )


def replace_artifact(item: RegisteredVersion) -> Statement:
    """Write the artefact of a version that its run trained again, because the first one was deleted."""
    return Statement(
        f"UPDATE {REGISTRY.sql} SET METRICS = PARSE_JSON(?), REPORT = PARSE_JSON(?), TRAINING_JOB = ?, ARTIFACT_URI = ?, "
        "ARTIFACT_SHA256 = ? WHERE MODEL = ? AND VERSION = ?",
        (
            json.dumps(item.metrics),
            json.dumps(item.report),
            item.training_job,
            item.artifact_uri,
            item.artifact_sha256,
            item.model,
            item.version,
        ),
    )


def promote(model: str, version: str) -> list[Statement]:
    """Put one version in production and archive the previous one, in one transaction."""
    return [
        Statement(
            f"UPDATE {REGISTRY.sql} SET STAGE = 'archived', IS_DEFAULT = FALSE "
            "WHERE MODEL = ? AND STAGE = 'production' AND VERSION <> ?",
            (model, version),
        ),
        Statement(
            f"UPDATE {REGISTRY.sql} SET STAGE = 'production', IS_DEFAULT = TRUE WHERE MODEL = ? AND VERSION = ?",
            (model, version),
        ),
    ]
