"""Each stage compares its recorded result with the world, and checks the owner of what it replaces."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.batch.plan import AS_OF, SCORE, rule_of, table_comment
from app.batch.result import BatchResult
from app.batch.stage import STAGE as BATCH
from app.deploy.live import LiveVersion, live_uri
from app.errors import CallerError, NotFound
from app.export.stage import STAGE as EXPORT
from app.features.stage import STAGE as FEATURES
from app.monitor.result import DriftResult
from app.monitor.stage import STAGE as MONITOR
from app.ownership import comment
from app.ports import ColumnType, Table
from app.registry.stage import STAGE as REGISTRY
from app.registry.versions import RegisteredVersion
from app.runs.stage import Context, Seen, World
from app.spec import PipelineFile
from app.train.stage import STAGE as TRAIN
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeTraining, FakeWarehouse
from tests.unit import churn

RESULT = BatchResult("ANALYTICS.CHURN_SCORES", "1.0", 10, 10, 0, rule=rule_of(churn.PIPELINE))
OUR_COLUMNS = tuple(
    ColumnType(name, "number") for name in ("CUSTOMER_ID", AS_OF, SCORE, "MODEL_VERSION", "RUN_ID", "SCORED_AT")
)


def objects(*found: tuple[str, str, str]) -> Table:
    return Table(("name", "kind", "comment"), list(found))


def context(
    warehouse: FakeWarehouse | None = None, store: FakeStore | None = None, file: PipelineFile = churn.FILE
) -> Context:
    world = World(
        churn.platform(),
        warehouse or FakeWarehouse(),
        store or FakeStore(),
        FakeTraining(None),
        FakeHosting(None),
        FakeService("1.0"),
    )  # type: ignore[arg-type]
    return Context(file, churn.RUN, world)


def changed(block: str, **values: Any) -> PipelineFile:
    pipeline = churn.PIPELINE
    return replace(
        churn.FILE, pipeline=pipeline.model_copy(update={block: getattr(pipeline, block).model_copy(update=values)})
    )


def look(stage: Any, at: Context, result: Any) -> Seen[Any]:
    found: Seen[Any] = stage.look(at, result)
    return found


# --- batch ----------------------------------------------------------------------------------------------------------------


def scores(text: str, columns: tuple[ColumnType, ...] = ()) -> FakeWarehouse:
    return FakeWarehouse({"SHOW OBJECTS": objects(("CHURN_SCORES", "TABLE", text))}, {"CHURN_SCORES": columns})


def test_scores_that_are_in_their_table_stand() -> None:
    assert look(BATCH, context(scores(table_comment("churn"))), RESULT) == Seen(RESULT)


def rolled_back(*, deployed: bool, asked: bool = False) -> Context:
    """A run whose version 1.1 was rolled back to 1.0 by hand."""
    live = LiveVersion(
        "churn", "1.0", churn.CONTRACT, "", "s3://lake/m", "a" * 64, scorer="embedded", by_hand="rollback"
    )
    at = context(scores(table_comment("churn")), FakeStore({live_uri(churn.BUCKET, "churn"): live.to_json()}))
    at.asked = asked
    at.results = {"features": churn.feature_set(), "registry": churn.registered(version="1.1")}
    if deployed:
        at.results["deploy"] = object()
    return at


def test_scores_of_a_version_that_was_rolled_back_are_kept_and_the_command_is_named() -> None:
    result = replace(RESULT, version="1.1")
    found = look(BATCH, rolled_back(deployed=True), result)
    said = f"scored with 1.1, and live is 1.0; `snowsage batch {churn.FILE.folder}` scores with that"
    assert found == Seen(result, said)


@pytest.mark.parametrize(
    ("deployed", "asked", "version"),
    [(True, False, "1.0"), (True, True, "1.0"), (False, True, "1.0"), (False, False, "1.1")],
)
def test_the_live_version_scores_unless_the_run_will_deploy_its_own(deployed: bool, asked: bool, version: str) -> None:
    at = rolled_back(deployed=deployed, asked=asked)
    plan = BATCH.plan(at)
    assert plan.version.version == version
    assert BATCH.outline is not None
    said = BATCH.outline(at, plan)
    assert f"score every entity with version {version}" in said
    assert ("which is live instead of this run's 1.1" in said) == (version == "1.0")


@pytest.mark.parametrize(
    ("warehouse", "file", "said"),
    [
        (FakeWarehouse(), churn.FILE, "table ANALYTICS.CHURN_SCORES does not exist any more"),
        (scores(""), changed("batch", table="ANALYTICS.OTHER"), "the settings of batch have changed"),
        (scores(""), changed("batch", threshold=0.7), "the settings of batch have changed"),
    ],
)
def test_scores_are_written_again_if_they_are_gone_or_outdated(
    warehouse: FakeWarehouse, file: PipelineFile, said: str
) -> None:
    assert look(BATCH, context(warehouse, file=file), RESULT) == Seen(None, said)


@pytest.mark.parametrize(
    ("warehouse", "said"),
    [
        (
            scores(comment("other", "scores of its model"), OUR_COLUMNS),
            r"table ANALYTICS\.CHURN_SCORES belongs to pipeline other, .*; write another name for batch\.table",
        ),
        (
            scores("", (ColumnType("CUSTOMER_ID", "number"),)),
            r"table ANALYTICS\.CHURN_SCORES exists and no pipeline made it",
        ),
    ],
)
def test_a_table_of_others_is_not_merged_into(warehouse: FakeWarehouse, said: str) -> None:
    assert BATCH.check is not None
    with pytest.raises(CallerError, match=said):
        BATCH.check(context(warehouse))


OF_A_TEXT = (ColumnType("CUSTOMER_ID", "text"), *OUR_COLUMNS[1:])
OF_TWO = (ColumnType("SHOP_ID", "number"), *OUR_COLUMNS)
OF_ANOTHER = (ColumnType("USER_ID", "number"), *OUR_COLUMNS[1:])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (OF_A_TEXT, r"\(CUSTOMER_ID VARCHAR\)"),
        (OF_TWO, r"\(SHOP_ID NUMBER, CUSTOMER_ID NUMBER\)"),
        (OF_ANOTHER, r"\(USER_ID NUMBER\)"),
    ],
)
def test_a_table_of_another_entity_is_refused_before_the_first_stage(
    columns: tuple[ColumnType, ...], said: str
) -> None:
    assert BATCH.check is not None
    with pytest.raises(
        CallerError, match=rf"was made for the entity {said}, and the pipeline's is \(CUSTOMER_ID NUMBER\)"
    ):
        BATCH.check(context(scores(table_comment("churn"), columns)))


def test_columns_that_others_added_to_the_table_are_no_key() -> None:
    assert BATCH.check is not None
    BATCH.check(context(scores(table_comment("churn"), (*OUR_COLUMNS, ColumnType("NOTE", "text")))))


@pytest.mark.parametrize(
    "warehouse", [FakeWarehouse(), scores(table_comment("churn"), OUR_COLUMNS), scores("", OUR_COLUMNS)]
)
def test_an_own_table_is_free(warehouse: FakeWarehouse) -> None:
    assert BATCH.check is not None
    BATCH.check(context(warehouse))
    assert {text.split()[0] for text in warehouse.texts} == {"SHOW"}


# --- train ----------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_gone_from_s3_is_trained_again() -> None:
    done = churn.trained()
    assert look(TRAIN, context(store=FakeStore({done.artifact_uri: b"model"})), done) == Seen(done)
    gone = look(TRAIN, context(), done)
    assert gone.result is None
    assert (
        gone.note == f"the model of training job {done.job} is not at {done.artifact_uri} any more: it is trained again"
    )


# --- registry -------------------------------------------------------------------------------------------------------------


def registering(warehouse: FakeWarehouse, file: PipelineFile = churn.FILE) -> Context:
    at = context(warehouse, file=file)
    at.results["train"] = churn.trained()
    return at


def registry(*versions: RegisteredVersion) -> FakeWarehouse:
    rows = [
        (
            *(item.model, item.version, item.run_id, item.stage, json.dumps(item.contract), json.dumps(item.report)),
            *(json.dumps(item.verdict), item.training_job, item.artifact_uri, item.artifact_sha256),
        )
        for item in versions
    ]
    return FakeWarehouse({"MODEL_REGISTRY": Table((), rows)})


JUDGED = churn.registered(
    verdict=(
        "passed: auc 0.8100 (minimum 0.75)",
        "passed: auc 0.8100 is +0.0200 from DAYS_SINCE_LAST_ORDER alone, 0.7900 (minimum +0.005)",
    )
)


def test_a_version_is_read_from_the_registry() -> None:
    archived = replace(JUDGED, stage="archived")
    assert look(REGISTRY, registering(registry(archived)), JUDGED).result.stage == "archived"
    again = registering(registry(JUDGED))
    again.results["train"] = replace(churn.trained(), artifact_uri="s3://lake/churn/second")
    assert look(REGISTRY, again, JUDGED) == Seen(None, "version 1.0 gets the model that was trained again")
    assert look(REGISTRY, registering(registry(JUDGED)), JUDGED).result.verdict == JUDGED.verdict
    gone = look(REGISTRY, registering(FakeWarehouse({"MODEL_REGISTRY": NotFound("none")})), JUDGED)
    assert gone == Seen(None, "version 1.0 is not in the registry any more")


def test_a_changed_gate_judges_again_what_is_not_live() -> None:
    stricter = replace(
        churn.FILE,
        pipeline=churn.PIPELINE.model_copy(
            update={
                "training": churn.PIPELINE.training.model_copy(
                    update={"gate": churn.PIPELINE.training.gate.model_copy(update={"at_least": 0.9})}
                )
            }
        ),
    )
    seen = look(REGISTRY, registering(registry(JUDGED), file=stricter), JUDGED)
    assert seen == Seen(None, "version 1.0 is judged again: the gate or the production version has changed")
    live = replace(JUDGED, stage="production")
    assert look(REGISTRY, registering(registry(live), file=stricter), JUDGED).result.stage == "production"


# --- features, export, monitor --------------------------------------------------------------------------------------------


def test_features_are_computed_again_if_a_table_is_gone() -> None:
    names = ["CUSTOMER_ORDERS", "CUSTOMER_RHYTHM", "CHURN_LABEL", "CHURN_FEATURES"]
    everything = FakeWarehouse({"SHOW": objects(*[(name, "TABLE", "") for name in names])})
    features = churn.feature_set()
    assert look(FEATURES, context(everything), features) == Seen(features)
    some = FakeWarehouse({"SHOW": objects(*[(name, "TABLE", "") for name in names[1:]])})
    assert look(FEATURES, context(some), features).note == "FEATURE_STORE.CUSTOMER_ORDERS does not exist any more"


def test_an_export_without_its_manifest_is_made_again() -> None:
    export = churn.export()
    stored = FakeStore({f"{export.uri}manifest.json": export.to_json()})
    assert look(EXPORT, context(store=stored), export) == Seen(export)
    assert look(EXPORT, context(), export).note.endswith("export/manifest.json does not exist any more")


def test_another_threshold_measures_drift_again() -> None:
    drift = DriftResult(5, 0.2, ())
    assert look(MONITOR, context(), drift) == Seen(drift)
    assert look(MONITOR, context(), replace(drift, threshold=0.3)).note == "monitoring.drift.psi has changed"
