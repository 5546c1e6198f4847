"""Decides the version of a trained model, and whether it may go live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.errors import PermanentError
from app.registry.gate import judge
from app.registry.versions import RegisteredVersion, next_version
from app.runs.identity import Run
from app.spec import Pipeline
from app.train.result import TrainedModel
from sagemaker_entry.contract import Contract


@dataclass(frozen=True)
class TrainedArtifact:
    """The artefact's digest, and the contract and report that the job wrote."""

    sha256: str
    contract: dict[str, Any]
    report: dict[str, Any]


def plan_registry(
    pipeline: Pipeline,
    run: Run,
    trained: TrainedModel,
    found: TrainedArtifact,
    exported: Contract,
    existing: list[RegisteredVersion],
) -> RegisteredVersion:
    """The version to write. A run keeps the version it has, with the artefact it has now, judged again by the present gate.

    Raises PermanentError for an artefact with another contract.
    """
    contract = Contract.from_dict(found.contract)
    if contract != exported:
        raise PermanentError(
            f"training job {trained.job} made a model with contract {contract.fingerprint}, the export has {exported.fingerprint}"
        )
    if (mine := next((item for item in existing if item.run_id == run.id), None)) is not None:
        if mine.artifact_uri != trained.artifact_uri:
            mine = replace(
                mine,
                report=found.report,
                training_job=trained.job,
                artifact_uri=trained.artifact_uri,
                artifact_sha256=found.sha256,
            )
        return judged_again(pipeline, mine, existing)
    verdict = judge(pipeline.training.gate, found.report, _incumbent(existing))
    return RegisteredVersion(
        model=pipeline.name,
        version=str(next_version(existing, contract.fingerprint)),
        run_id=run.id,
        stage="candidate" if verdict.passed else "rejected",
        contract=contract.to_dict(),
        report=found.report,
        verdict=verdict.sentences,
        training_job=trained.job,
        artifact_uri=trained.artifact_uri,
        artifact_sha256=found.sha256,
    )


def judged_again(
    pipeline: Pipeline, version: RegisteredVersion, existing: list[RegisteredVersion]
) -> RegisteredVersion:
    """``version`` by the pipeline's present gate. One that is or was live keeps its stage: the gate decides about going live."""
    if version.stage not in ("candidate", "rejected"):
        return version
    verdict = judge(pipeline.training.gate, version.report, _incumbent(existing))
    return replace(version, stage="candidate" if verdict.passed else "rejected", verdict=verdict.sentences)


def _incumbent(existing: list[RegisteredVersion]) -> Mapping[str, Any] | None:
    return next((item.report for item in existing if item.stage == "production"), None)
