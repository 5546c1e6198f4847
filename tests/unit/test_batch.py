"""Batch scoring: the statements that score and merge, and the check that no rows are lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlglot import exp

from app.batch.plan import BatchPlan, judge_load, plan_batch, scored_version
from app.deploy.live import LiveVersion
from app.errors import CallerError, GateRefused, PermanentError
from app.sql import Name
from sagemaker_entry.contract import Contract
from tests.support.statements import read
from tests.unit import churn


def planned(**batch: object) -> BatchPlan:
    pipeline = churn.PIPELINE.model_copy(update={"batch": churn.PIPELINE.batch.model_copy(update=batch)})
    return plan_batch(pipeline, churn.RUN, churn.feature_set(), churn.registered(), "lake", Name.parse("ML.LAKE"))


def test_the_merge_matches_rows_by_key_and_time_and_updates_only_differences() -> None:
    merge = planned().merge
    assert merge.text.splitlines() == [
        'MERGE INTO "ANALYTICS"."CHURN_SCORES" AS t',
        'USING (SELECT "CUSTOMER_ID", "AS_OF", SCORE, IFF(SCORE >= ?::FLOAT, ?, ?) AS LABEL, ? AS MODEL_VERSION, ? AS RUN_ID, '
        'SYSDATE() AS SCORED_AT FROM "ANALYTICS"."CHURN_SCORES__LOAD_19980701_0A1B2C3D") AS s',
        'ON t."CUSTOMER_ID" = s."CUSTOMER_ID" AND t."AS_OF" = s."AS_OF"',
        "WHEN MATCHED AND (t.SCORE IS DISTINCT FROM s.SCORE OR t.LABEL IS DISTINCT FROM s.LABEL "
        "OR t.MODEL_VERSION IS DISTINCT FROM s.MODEL_VERSION "
        "OR t.RUN_ID IS DISTINCT FROM s.RUN_ID) THEN UPDATE SET SCORE = s.SCORE, LABEL = s.LABEL, MODEL_VERSION = s.MODEL_VERSION, "
        "RUN_ID = s.RUN_ID, SCORED_AT = s.SCORED_AT",
        'WHEN NOT MATCHED THEN INSERT ("CUSTOMER_ID", "AS_OF", SCORE, LABEL, MODEL_VERSION, RUN_ID, SCORED_AT)',
        'VALUES (s."CUSTOMER_ID", s."AS_OF", s.SCORE, s.LABEL, s.MODEL_VERSION, s.RUN_ID, s.SCORED_AT)',
    ]
    assert merge.binds == (0.5, "CHURNS", "STAYS", "1.0", churn.RUN.id)
    assert isinstance(read(merge.text), exp.Merge)


def test_without_labels_there_is_no_label_column() -> None:
    plan = planned(threshold=None, labels=None)
    assert "LABEL" not in plan.merge.text + plan.create.text
    assert plan.merge.binds == ("1.0", churn.RUN.id)
    assert isinstance(read(plan.merge.text), exp.Merge)


@pytest.mark.parametrize("labels", [None, ("STAYS", "CHURNS")])
def test_every_statement_parses_and_has_a_bind_for_each_placeholder(labels: tuple[str, str] | None) -> None:
    plan = planned(labels=labels, threshold=0.5 if labels else None)
    for statement in (
        plan.create,
        *plan.load,
        plan.count_loaded,
        plan.merge,
        plan.drop,
        plan.unload.copy,
        *(check.statement for check in plan.unload.checks),
    ):
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


def test_rows_are_loaded_into_a_table_of_the_run_with_the_target_columns() -> None:
    plan = planned(table='ANALYTICS."my scores"')
    assert plan.drop.text == 'DROP TABLE IF EXISTS "ANALYTICS"."my scores__LOAD_19980701_0A1B2C3D"'
    loading = read(plan.load[0].text)
    assert [column.name for column in loading.find_all(exp.ColumnDef)] == ["CUSTOMER_ID", "AS_OF", "SCORE"]


def test_features_and_predictions_have_different_folders() -> None:
    plan = planned()
    assert plan.unload.uri == "s3://lake/churn/19980701-0a1b2c3d/batch/features/"
    assert plan.predictions_uri == "s3://lake/churn/19980701-0a1b2c3d/batch/predictions/"


def test_the_contract_is_that_of_the_version() -> None:
    other = Contract(churn.CONTRACT.columns[:2], key=("CUSTOMER_ID",), label="CHURNED")
    version = churn.registered(contract=other.to_dict())
    plan = plan_batch(churn.PIPELINE, churn.RUN, churn.feature_set(), version, "lake", Name.parse("ML.LAKE"))
    assert (plan.unload.contract, plan.version) == (other, version)


def test_a_rejected_version_is_not_used_for_batch_scoring() -> None:
    rejected = churn.registered(stage="rejected", verdict=("failed: auc 0.5000 (minimum 0.7)",))
    with pytest.raises(GateRefused, match="did not pass the gate"):
        plan_batch(churn.PIPELINE, churn.RUN, churn.feature_set(), rejected, "lake", Name.parse("ML.LAKE"))


def test_moments_are_loaded_by_their_logical_type() -> None:
    loading = planned().load[1].text
    assert "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE NULL_IF = ())" in loading


@pytest.mark.parametrize(
    ("counts", "shown"), [((2, 2, 0), "0 at the run's"), ((2, 1, 2), "1 of them"), ((3, 3, 3), "3 loaded")]
)
def test_scores_that_are_lost_or_arrive_at_another_moment_are_not_merged(
    counts: tuple[int, int, int], shown: str
) -> None:
    with pytest.raises(PermanentError, match=shown):
        judge_load(2, 0, counts)


def test_a_complete_load_is_merged() -> None:
    judge_load(2, 0, (2, 2, 2))
    judge_load(2, 1, (2, 1, 2))


def test_the_loaded_moments_are_compared_with_the_logical_date() -> None:
    assert planned().count_loaded.binds == (churn.feature_set().scoring_as_of,)


# --- the version that scores ----------------------------------------------------------------------------------------------


def live(version: str, contract: Contract = churn.CONTRACT) -> LiveVersion:
    return LiveVersion("churn", version, contract, "churn", f"s3://lake/m/{version}", "a" * 64, by_hand="rollback")


def test_the_live_version_scores() -> None:
    own = churn.registered(version="1.1")
    assert scored_version(own, None, "churn") == own
    assert scored_version(own, live("1.1"), "churn") == own
    found = scored_version(own, live("1.0"), "churn")
    assert (found.version, found.artifact_uri, found.artifact_sha256) == ("1.0", "s3://lake/m/1.0", "a" * 64)


def test_a_live_version_of_other_features_is_named_with_the_command_that_replaces_it() -> None:
    other = replace(churn.CONTRACT, columns=churn.CONTRACT.columns[:-1])
    with pytest.raises(CallerError, match=r"live is version 1\.0, .* `snowsage promote churn 2\.0`"):
        scored_version(churn.registered(version="2.0"), live("1.0", other), "churn")


def test_a_rejected_version_of_the_run_does_not_stop_the_live_one() -> None:
    own = churn.registered(version="1.1", stage="rejected")
    version = scored_version(own, live("1.0"), "churn")
    plan = plan_batch(churn.PIPELINE, churn.RUN, churn.feature_set(), version, "lake", Name.parse("ML.LAKE"))
    assert plan.version.version == "1.0"
