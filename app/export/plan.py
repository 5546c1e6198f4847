"""Decides an unload: the query, the COPY statement, and the checks that prevent a useless training job."""

from __future__ import annotations

from dataclasses import dataclass

from app.export.check import Check, LabelRule, make_check
from app.features.training_set import FeatureSet, scoring_query, training_query
from app.runs.identity import Run
from app.spec import Pipeline
from app.sql import Name, Statement, stage_path
from sagemaker_entry.contract import Contract

#: Size of one file: ten million rows make a few files, which several readers can read at the same time.
MAX_FILE_BYTES = 64 * 1024 * 1024

#: The format of Parquet files that are loaded. By default Snowflake ignores logical types and loads a timestamp without a
#: converted type, as Arrow writes it, as a number of seconds: another moment. It also reads the text \\N as NULL.
LOADED_PARQUET = "(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE NULL_IF = ())"


@dataclass(frozen=True)
class UnloadPlan:
    """Unloads a query to Parquet files below ``uri``. ``checks``: what must hold before; the first counts the query's rows."""

    uri: str
    data_uri: str
    copy: Statement
    checks: tuple[Check, ...]
    contract: Contract


def plan_export(
    pipeline: Pipeline, features: FeatureSet, run: Run, bucket: str, stage: Name, *, scored: bool = True
) -> UnloadPlan:
    """The training set, with label and sort key.

    ``scored``: the command goes on to the batch stage. If that would refuse all rows for one that is unfit, the rows to score are
    checked too: a new category is then known before the training job is paid for.
    """
    contract = features.made_contract()
    query = training_query(features)
    checks = [make_check(query, contract, LabelRule(contract.label, pipeline))]
    if scored and pipeline.serving.on_bad_row == "fail":
        checks.append(make_check(scoring_query(features), contract))
    return plan_unload(query, tuple(checks), run, "export", bucket, stage, pipeline.warehouse)


def plan_unload(
    query: str, checks: tuple[Check, ...], run: Run, place: str, bucket: str, stage: Name, warehouse: str | None = None
) -> UnloadPlan:
    """Unload ``query`` below the folder ``place`` of the run. ``warehouse``: reads the rows; None: the session's."""
    uri = run.uri(bucket, place)
    return UnloadPlan(
        uri=uri,
        data_uri=f"{uri}data/",
        copy=Statement(
            f"COPY INTO {stage_path(stage, f'{run.key(place)}data/')}\nFROM (\n{query}\n)\n"
            f"FILE_FORMAT = (TYPE = PARQUET COMPRESSION = SNAPPY)\nHEADER = TRUE MAX_FILE_SIZE = {MAX_FILE_BYTES} "
            # The query id in the names separates these files from those of a killed run's COPY, which may still be running.
            "DETAILED_OUTPUT = TRUE INCLUDE_QUERY_ID = TRUE",
            warehouse=warehouse,
        ),
        checks=checks,
        contract=checks[0].contract,
    )
