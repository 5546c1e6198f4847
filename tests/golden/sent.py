"""The statements that each stage sends to Snowflake for the churn example, recorded by fakes.

The features stage belongs to a new logical date of a pipeline whose label's table was dropped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from app import ownership
from app.batch.plan import plan_batch
from app.cloud.infrastructure import render_sql
from app.deploy.overloads import find_overloads
from app.deploy.plan import function_name, plan_deploy
from app.deploy.run import run_deploy
from app.export.plan import plan_export
from app.export.run import run_export
from app.features import store
from app.features.observe import observe
from app.features.plan import plan_features
from app.features.run import run_features
from app.monitor.plan import plan_monitor
from app.monitor.run import run_monitor
from app.pipeline import look_up_run
from app.ports import ColumnType, EndpointState, Table
from app.registry.run import run_registry, versions_of
from app.runs.ledger import Ledger
from app.sql import Name, Statement
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeWarehouse, changing_sources, counted_slices
from tests.unit import churn
from tests.unit.test_infra import VALUES
from tests.unit.test_registry import Registry

STAGE = Name.parse(churn.platform().stage)
ARCHIVE = churn.archive(contract=churn.CONTRACT.to_dict(), report=churn.report())
URI = churn.trained().artifact_uri
VERSION = churn.registered(artifact_sha256=hashlib.sha256(ARCHIVE).hexdigest())

#: Replaces the query that Snowpark makes from a definition in Python: the SDK writes its text.
SNOWPARK = "SELECT compiled /* what Snowpark makes of the definition */"


@cache
def sent() -> Mapping[str, tuple[Statement, ...]]:
    """Name of a golden file -> the statements, in the order in which they are sent."""
    makers: dict[str, Callable[[], list[Statement]]] = {
        "runs": _runs,
        "features": _features,
        "export": _export,
        "registry": _registry,
        "deploy": _deploy,
        "batch": _batch,
        "monitor": _monitor,
        "infra": _infra,
    }
    return {name: tuple(make()) for name, make in makers.items()}


def shown(statements: tuple[Statement, ...]) -> str:
    """The golden file's text: each statement below its binds. Current times are masked."""
    return "\n\n".join(f"{_binds(statement)}{statement.text};" for statement in statements) + "\n"


def _binds(statement: Statement) -> str:
    if not statement.binds:
        return ""
    return f"-- binds: {json.dumps([_shown(bind) for bind in statement.binds])}\n"


def _shown(bind: Any) -> Any:
    if isinstance(bind, datetime):
        return "<now>" if bind.year > 2000 else bind.isoformat(sep=" ")
    return bind if isinstance(bind, int | float | str | None) else str(bind)


def _described() -> dict[str, tuple[ColumnType, ...]]:
    return {
        "average_gap_days": churn.RHYTHM,
        '"FEATURE_STORE"."CUSTOMER_ORDERS"': churn.ORDERS[:-1],  # the table of an earlier version
        '"FEATURE_STORE"."CUSTOMER_RHYTHM"': churn.RHYTHM,
        '"FEATURE_STORE"."CHURN_LABEL"': churn.LABEL,
        'AS "orders"': churn.EVENT_TIMES,
        '"RAW"."ORDERS"': churn.SOURCE,
    }


class _Warehouse(FakeWarehouse):
    """Returns different columns for the two Snowpark definitions; the label is described last."""

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        if query == SNOWPARK:
            self.described.append(query)
            return churn.ORDERS if self.described.count(SNOWPARK) == 1 else churn.LABEL
        return super().describe(query)


def _runs() -> list[Statement]:
    warehouse = FakeWarehouse({"ROW_HASH": changing_sources("orders")}, _described())
    look_up_run(churn.FILE, warehouse)
    # The run's own id changes with the entry code.
    looked = [
        Statement(item.text, (churn.RUN.id, "run")) if "KNOWN_AT" in item.text else item
        for item in warehouse.statements
    ]
    ledger = Ledger(written := FakeWarehouse())
    ledger.begin(churn.RUN)
    ledger.find(churn.RUN, "train", object)
    ledger.record(churn.RUN, "train", churn.trained(), 63.2)
    ledger.runs("churn")
    return [*looked, *written.statements]


def _features() -> list[Statement]:
    """The tables of the two views exist, and lack the last slice; the label's does not."""
    stored = [
        (view.view, "TABLE", "snowsage: pipeline churn; slices of a feature view or label")
        for view in churn.PIPELINE.features
    ]
    times = (*churn.PIPELINE.training_times(churn.RUN.as_of), churn.RUN.as_of)
    answers = {
        "ROW_HASH": changing_sources("orders"),
        "SHOW OBJECTS": Table(("name", "kind", "comment"), list(stored)),
        " AS NULLS\nFROM": counted_slices(times, 900, 900),
    }
    warehouse = _Warehouse(answers, _described(), compiled=SNOWPARK)
    first = observe(warehouse, churn.FILE, churn.RUN)
    finished = [
        (view.view, part.as_of, churn.KNOWN_AT, 900, part.definition_sha256, part.sources_sha256, True, None)
        for view in first.views
        for part in view.slices[:-1]
    ]
    warehouse = _Warehouse({" AS INTACT": finished, **answers}, _described(), compiled=SNOWPARK)
    plan = plan_features(churn.PIPELINE, observe(warehouse, churn.FILE, churn.RUN))
    run_features(plan, warehouse, churn.RUN)
    return [store.CREATE_LINEAGE, *warehouse.statements]


def _export() -> list[Statement]:
    plan = plan_export(churn.PIPELINE, churn.feature_set(), churn.RUN, churn.BUCKET, STAGE)
    store = FakeStore()

    def unload(_: Statement) -> Table:
        store.objects[f"{plan.data_uri}data_0_0_0.snappy.parquet"] = b"PAR1"
        return Table(("FILE_NAME", "ROW_COUNT"), [("data_0_0_0.snappy.parquet", 12000)])

    features = [1000, 0] * len(churn.CONTRACT.names)
    trained = [(time, 1000, 1000, 1000, 0, 0.0, 1.0, *features) for time in churn.feature_set().training_as_of]
    scored = [(churn.RUN.as_of, 1000, 1000, *features)]
    warehouse = FakeWarehouse({"COPY INTO": unload, 'MAX("CHURNED")': trained, 'SELECT "AS_OF"': scored})
    run_export(plan, warehouse, store)
    return warehouse.statements


def _registry() -> list[Statement]:
    warehouse, store = Registry(), FakeStore({URI: ARCHIVE})
    run_registry(churn.PIPELINE, churn.RUN, churn.trained(), churn.CONTRACT, warehouse, store, churn.BUCKET)
    # The archive is gzipped at run time, so its digest changes.
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    return [
        Statement(item.text, tuple("5e" * 32 if bind == digest else bind for bind in item.binds))
        for item in warehouse.statements
    ]


def _deploy() -> list[Statement]:
    """The typed form of an earlier contract exists, and a role was granted it by hand."""
    comment = ownership.comment("churn", "scores of its model; contract 00; ddl 00")
    arguments = "PREDICT_CHURN(NUMBER, FLOAT, FLOAT) RETURN FLOAT"
    shown = Table(("name", "is_builtin", "arguments", "description"), [("PREDICT_CHURN", "N", arguments, comment)])
    granted = Table(
        ("privilege", "granted_to", "grantee_name", "grant_option"), [("USAGE", "ROLE", "ANALYST", "false")]
    )
    answers = {"SELECT MODEL, VERSION": [], "SHOW FUNCTIONS": shown, "SHOW GRANTS": granted, 'SELECT "ML"': [(0.4,)]}
    warehouse = FakeWarehouse(answers)
    versions_of("churn", warehouse)
    overloads = find_overloads(warehouse, function_name(churn.PIPELINE))
    plan = plan_deploy(churn.PIPELINE, VERSION, overloads, None, churn.platform())
    ready = EndpointState("InService", plan.endpoint.config_name, "")
    run_deploy(plan, warehouse, FakeStore({URI: ARCHIVE}), FakeHosting(ready), FakeService("1.0"), 0.0, 1)
    return warehouse.statements


def _batch() -> list[Statement]:
    plan = plan_batch(churn.PIPELINE, churn.RUN, churn.feature_set(), VERSION, churn.BUCKET, STAGE)
    return [
        plan.unload.checks[0].statement,
        plan.unload.copy,
        plan.create,
        *plan.load,
        plan.count_loaded,
        plan.merge,
        plan.drop,
    ]


def _monitor() -> list[Statement]:
    at = datetime(1998, 7, 1, 7)
    plan = plan_monitor(churn.RUN, churn.feature_set(), VERSION, churn.baseline(), 0.2, at)
    run_monitor(plan, warehouse := FakeWarehouse())
    return warehouse.statements


def _infra() -> list[Statement]:
    text = "\n".join(f"{part.rstrip()}\n" for part in render_sql(VALUES).values())
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [Statement(part.strip()) for part in "\n".join(lines).split(";") if part.strip()]
