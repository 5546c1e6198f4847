"""Registers the model that a run trained. A rejected version is kept with its reasons, which explain why production did not
change.
"""

from __future__ import annotations

from collections.abc import Callable

from app.errors import NotFound
from app.ports import ObjectStore, Warehouse
from app.registry.artifact import Artifact, fetched
from app.registry.claims import claim_number
from app.registry.plan import TrainedArtifact, plan_registry
from app.registry.versions import (
    CREATE,
    RegisteredVersion,
    find_versions,
    from_row,
    insert_version,
    judge_version,
    replace_artifact,
)
from app.runs.identity import Run, now
from app.spec import Pipeline
from app.train.result import TrainedModel
from sagemaker_entry.contract import Contract


def run_registry(
    pipeline: Pipeline,
    run: Run,
    trained: TrainedModel,
    exported: Contract,
    warehouse: Warehouse,
    store: ObjectStore,
    bucket: str,
    try_model: Callable[[Artifact], object] = lambda _: None,
) -> RegisteredVersion:
    """The version of this run: written, or found. ``try_model``: called with a new version's artefact; raises to refuse it."""
    for statement in CREATE:
        warehouse.run(statement)
    with fetched(store, trained.artifact_uri) as artifact:
        found = TrainedArtifact(artifact.sha256, artifact.json("contract.json"), artifact.json("report.json"))
        existing = versions_of(pipeline.name, warehouse)
        version = plan_registry(pipeline, run, trained, found, exported, existing)
        if version in existing:
            return version
        try_model(artifact)
    if (before := next((item for item in existing if item.run_id == run.id), None)) is not None:
        if before.artifact_uri != version.artifact_uri:
            warehouse.run(replace_artifact(version))
        warehouse.run(judge_version(version))
    else:
        warehouse.run(insert_version(claim_number(store, bucket, version, existing), now()))
    return next(item for item in versions_of(pipeline.name, warehouse) if item.run_id == run.id)


def versions_of(model: str, warehouse: Warehouse) -> list[RegisteredVersion]:
    """Every version of a model, oldest first; empty if none was registered."""
    try:
        return [from_row(row) for row in warehouse.run(find_versions(model)).rows]
    except NotFound:
        return []
