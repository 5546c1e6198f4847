"""The benchmark of features: the grown log follows its rule, results are compared, and the verdict follows from the figures."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.features import engines, growth, join_data, results
from benchmarks.features.comparison import differences
from benchmarks.features.measure import Measured
from benchmarks.features.processes import Cost


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    duckdb.execute(
        f"""COPY (SELECT n AS order_id, n // 2 + 1 AS customer_id, DATE '1997-01-01' + n::INTEGER AS order_date,
            1::INTEGER AS quantity, (n * 10)::DECIMAL(10, 2) AS amount FROM range(1, 11) r(n)) TO '{path}'"""
    )
    return path


def test_each_copy_of_the_log_has_own_customers_one_shift_and_one_factor(log: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown.parquet"
    growth.grow(35, grown, log)
    days, factors = growth.draw(4)
    found = duckdb.sql(
        f"""SELECT (g.order_id - 1) // 10 AS copy, count(*), min(g.order_date - l.order_date), max(g.order_date - l.order_date),
            max(abs(g.amount::DOUBLE / l.amount::DOUBLE - 1)), bool_and(g.customer_id = copy * 6 + l.customer_id)
        FROM '{grown}' AS g JOIN '{log}' AS l ON l.order_id = (g.order_id - 1) % 10 + 1 GROUP BY copy ORDER BY copy"""
    ).fetchall()
    assert [row[:4] for row in found] == [(n, 10 if n < 3 else 5, days[n], days[n]) for n in range(4)]
    assert all(row[5] for row in found)
    assert days[0] == 0
    assert factors[0] == 1
    assert len({*days}) > 1
    assert abs(days).max() <= growth.DAYS
    assert found[0][4] == 0
    dates = duckdb.sql(f"SELECT order_date FROM '{grown}'").fetchall()
    assert dates == sorted(dates)


def test_customers_of_a_busy_log_are_those_of_the_log(log: Path, tmp_path: Path) -> None:
    grown = tmp_path / "busy.parquet"
    growth.grow(35, grown, log, busy=True)
    found = duckdb.sql(
        f"SELECT count(*), count(DISTINCT customer_id), max(customer_id), max(order_id) FROM '{grown}'"
    ).fetchall()
    assert found == [(35, 6, 6, 35)]


def test_counts_are_compared_exactly_and_floats_to_the_tolerance(tmp_path: Path) -> None:
    rows = {"id": [1, 2, 3], "n": [1, 2, 3], "x": [1.0, None, 1e6]}
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table(rows), first)

    def compared(**changed: list[float | None]) -> list[str]:
        pq.write_table(pa.table(rows | changed), second)
        return differences(first, second, "id", ["n"], ["x"], 1e-9)

    assert compared(x=[1 + 1e-12, None, 1e6 + 1e-5]) == []
    assert compared(x=[1.0, None, 1e6 + 1e-2]) == ["x differs in 1 rows"]
    assert compared(x=[1.0, 0.0, 1e6]) == ["x differs in 1 rows"]
    assert compared(n=[1, 2, 4]) == ["n differs in 1 rows"]
    assert compared(id=[1, 2, 4]) == ["2 rows are in one result only"]


def test_joins_are_compared_as_multisets(tmp_path: Path) -> None:
    _, spine = join_data.make(tmp_path, 10, 3, 20)
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    columns = ", ".join(f"row_id::DOUBLE AS {name}" for name in join_data.FEATURES)
    duckdb.execute(f"COPY (SELECT * EXCLUDE (row_id), {columns} FROM '{spine}') TO '{first}'")
    duckdb.execute(f"COPY (FROM '{first}' ORDER BY f_sum DESC) TO '{second}'")
    assert join_data.differences(first, second, 1e-9) == []
    duckdb.execute(f"COPY (FROM '{first}' WHERE f_sum > 0) TO '{second}'")
    assert join_data.differences(first, second, 1e-9) == ["19 rows instead of 20", "1 rows differ"]


def test_the_verdict_compares_costs_of_right_results_alone() -> None:
    def measured(engine: engines.Engine, seconds: float, wrong: list[str] | None = None) -> Measured:
        return Measured(
            engine, "1", {"compute": [Cost(seconds, seconds, 1), Cost(seconds * 2, seconds * 2, 2)]}, wrong or []
        )

    found = [measured(engines.SQL, 10), measured(engines.PRODUCT, 11), measured(engines.SPARK, 50)]
    assert [row[1:] for row in results.verdicts({10_000_000: found}, []).rows] == [
        ("1.10", "at most 1.2", "met"),
        ("1.10", "at most 1.2", "met"),
        ("4.55", "at least 5", "missed"),
        ("4.55", "at least 5", "missed"),
    ]
    assert results.feature_table(10_000_000, found).rows[1][-2:] == ("2.00", "1.10")
    wrong = [*found[:2], measured(engines.SPARK, 50, ["spent differs in 1 rows"])]
    assert len(results.verdicts({10_000_000: wrong}, []).rows) == 2
    assert results.faults(wrong) == ["PySpark, local mode: spent differs in 1 rows"]
    assert results.verdicts({1_000_000: found}, []).rows == []
