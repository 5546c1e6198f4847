"""Drift: SQL counts rows in the bins of the training baseline, and the stability index equals its definition."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest
from sqlglot import exp

from app.features.store import Slice
from app.features.training_set import FeatureSet
from app.monitor.plan import LEAST_SHARE, MonitorPlan, plan_monitor
from app.monitor.result import FeatureDrift
from app.monitor.run import run_monitor
from app.ports import Table
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.dataset import Part
from sagemaker_entry.evaluate import baseline
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

MEASURED_AT = datetime(1998, 7, 1, 7)


def plan_of_the_example() -> MonitorPlan:
    return plan_monitor(churn.RUN, churn.feature_set(), churn.registered(), churn.baseline(), 0.2, MEASURED_AT)


def test_every_statement_parses_and_has_a_bind_for_each_placeholder() -> None:
    plan = plan_of_the_example()
    for statement in (*plan.write, plan.read):
        assert isinstance(read(statement.text), exp.DML | exp.Select)
        assert statement.text.count("?") == len(statement.binds)


def test_a_measurement_replaces_the_rows_of_the_same_run() -> None:
    delete, insert = plan_of_the_example().write
    assert delete.text.startswith('DELETE FROM "ML"."DRIFT" WHERE RUN_ID = ? AND MODEL = ? AND VERSION = ?')
    assert delete.binds == (churn.RUN.id, "churn", "1.0")
    assert insert.binds[-7:] == (*delete.binds, churn.RUN.as_of, 0.2, 0.2, MEASURED_AT)


def test_the_result_is_read_from_the_table() -> None:
    rows = [("A", 0.31, 950, True), ("B", 0.01, 950, False)]
    warehouse = FakeWarehouse({"SELECT FEATURE, PSI": Table(("FEATURE", "PSI", "ROW_COUNT", "DRIFTED"), rows)})
    result = run_monitor(plan_of_the_example(), warehouse)
    assert (result.rows, result.threshold, result.drifted) == (950, 0.2, ("A",))
    assert result.features == (FeatureDrift("A", 0.31, True), FeatureDrift("B", 0.01, False))
    assert [len(statements) for statements in warehouse.transactions] == [2]


# --- the numbers ------------------------------------------------------------------------------------------------------------

CONTRACT = Contract(
    (Column("SMOOTH"), Column("COUNTS"), Column("CONSTANT"), Column("GAPS"),
    Column("CHANNEL", "category", ("web", "store", "phone"))),
    key=("ID",),
    label="L",
)  # fmt: skip
AT = datetime(1998, 7, 1)

Raw = dict[str, npt.NDArray[Any]]


def draw(seed: int, rows: int, shift: float) -> Raw:
    random = np.random.default_rng(seed)
    gaps = random.normal(size=rows)
    gaps[random.random(rows) < 0.3 + shift / 10] = np.nan
    shares = [0.5, 0.3 - shift / 10, 0.1, 0.1 + shift / 10]
    channel = random.choice(np.array(["web", "store", "phone", None], dtype=object), rows, p=shares)
    return {
        "SMOOTH": random.normal(loc=shift, size=rows),
        "COUNTS": random.poisson(2 + shift, rows).astype(np.float64),
        "CONSTANT": np.full(rows, 3.0),
        "GAPS": gaps,
        "CHANNEL": channel,
    }  # fmt: skip


def frozen(raw: Raw) -> dict[str, Any]:
    rows = len(raw["SMOOTH"])
    empty = np.empty((rows, len(CONTRACT.names)), dtype=np.float32)
    return baseline(CONTRACT, Part(empty, np.zeros(rows, dtype=np.float32), raw, (AT,)))


def reference(feature: dict[str, Any], values: npt.NDArray[Any]) -> float:
    """The population stability index by its definition, computed independently of the SQL."""
    if feature["categories"]:
        found = [np.mean([value is None for value in values])] + [
            np.mean(values == name) for name in feature["categories"]
        ]
    else:
        known = values[~np.isnan(values)]
        bounds = [-np.inf, *feature["edges"], np.inf]
        inside = [((known > low) & (known <= high)).sum() for low, high in pairwise(bounds)]
        found = [np.isnan(values).mean(), *(count / len(values) for count in inside)]
    expected = np.maximum([feature["null_share"], *feature["shares"]], LEAST_SHARE)
    actual = np.maximum(found, LEAST_SHARE)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def for_duckdb(text: str) -> str:
    """DuckDB writes binds as $1 and calls the columns of VALUES col0, col1, ..."""
    tree = read(text)
    assert isinstance(tree, exp.Expression)
    text = re.sub(r"(?<!\d):(\d+)", r"$\1", tree.sql(dialect="duckdb"))
    return re.sub(r"\bcolumn(\d)\b", lambda found: f"col{int(found[1]) - 1}", text)


def measured_in_sql(frozen_bins: dict[str, Any], raw: Raw) -> dict[str, tuple[float, int, bool]]:
    """The monitor's own INSERT, in DuckDB's dialect, over a table that holds ``raw``."""
    features = FeatureSet(
        CONTRACT.to_dict(), {"V": CONTRACT.names}, (), "L", (Slice("V", 1, AT, churn.KNOWN_AT, 1),), (), AT
    )
    version = churn.registered(contract=CONTRACT.to_dict())
    plan = plan_monitor(churn.RUN, features, version, frozen_bins, 0.2, MEASURED_AT)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("CREATE SCHEMA FEATURE_STORE; CREATE SCHEMA ML")
        connection.execute(
            'CREATE TABLE ML."DRIFT" (RUN_ID TEXT, MODEL TEXT, VERSION TEXT, FEATURE TEXT, AS_OF TIMESTAMP, PSI DOUBLE, '
            "ROW_COUNT BIGINT, THRESHOLD DOUBLE, DRIFTED BOOLEAN, MEASURED_AT TIMESTAMP)"
        )
        numbers = ", ".join(f'"{name}" DOUBLE' for name in CONTRACT.names[:-1])
        connection.execute(
            f'CREATE TABLE FEATURE_STORE."V" ("ID" BIGINT, "AS_OF" TIMESTAMP, FEATURE_VERSION INT, '
            f'KNOWN_AT TIMESTAMP, {numbers}, "CHANNEL" TEXT)'
        )
        columns = [
            [None if value is None or value != value else value for value in raw[name].tolist()]
            for name in CONTRACT.names
        ]
        rows = [(number, AT, 1, churn.KNOWN_AT, *values) for number, values in enumerate(zip(*columns, strict=True))]
        connection.executemany(f'INSERT INTO FEATURE_STORE."V" VALUES ({", ".join("?" * len(rows[0]))})', rows)
        for statement in plan.write:
            connection.execute(for_duckdb(statement.text), list(statement.binds))
        found = connection.execute("SELECT FEATURE, PSI, ROW_COUNT, DRIFTED FROM ML.DRIFT").fetchall()
    return {name: (psi, count, drifted) for name, psi, count, drifted in found}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shift", [0.0, 0.2, 1.5])
def test_the_index_in_sql_equals_the_definition(seed: int, shift: float) -> None:
    trained_on, recent = draw(seed, 400, 0.0), draw(seed + 100, 150, shift)
    bins = frozen(trained_on)
    found = measured_in_sql(bins, recent)
    assert set(found) == set(CONTRACT.names)
    for feature in bins["features"]:
        name = feature["name"]
        psi, rows, drifted = found[name]
        assert psi == pytest.approx(reference(feature, recent[name]), rel=1e-9, abs=1e-12), name
        assert (rows, drifted) == (150, psi > 0.2)


def test_unchanged_rows_have_an_index_of_zero() -> None:
    raw = draw(7, 300, 0.0)
    found = measured_in_sql(frozen(raw), raw)
    # Equal fractions have no difference; empty bins have the smallest fraction on both sides.
    assert all(psi == pytest.approx(0, abs=1e-9) for psi, _, _ in found.values())
    assert not any(drifted for _, _, drifted in found.values())


def test_an_unseen_category_counts_as_null() -> None:
    raw = draw(8, 200, 0.0)
    unseen = {**raw, "CHANNEL": np.array(["kiosk"] * 200, dtype=object)}
    absent = {**raw, "CHANNEL": np.array([None] * 200, dtype=object)}
    bins = frozen(raw)
    assert measured_in_sql(bins, unseen)["CHANNEL"] == measured_in_sql(bins, absent)["CHANNEL"]


def test_fractions_of_a_baseline_add_up_to_one() -> None:
    for feature in frozen(draw(9, 333, 0.0))["features"]:
        assert sum(feature["shares"]) + feature["null_share"] == pytest.approx(1.0)
        assert len(feature["shares"]) == len(feature["categories"] or [*feature["edges"], None])


def test_a_feature_with_only_nulls_in_training_has_one_bin() -> None:
    raw = {**draw(10, 50, 0.0), "GAPS": np.full(50, np.nan)}
    feature = frozen(raw)["features"][3]
    assert (feature["edges"], feature["null_share"]) == ([], 1.0)
