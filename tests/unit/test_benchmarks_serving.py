"""The serving benchmark without a server: percentiles, verdicts, tables, requests and replies."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest

from benchmarks.serving import exchange, limit, load, report, stats, tables, targets, workload
from benchmarks.serving.overload import Overload, Step
from benchmarks.serving.rounds import Figures, Point, Results
from benchmarks.serving.tables import Report
from benchmarks.serving.targets import ALL_CORES, FULL, ONE_ROW, OURS, OURS_BY_ENDPOINT, Verdict


def figures(
    us_a_row: float = 2.0, p50_ms: float = 1.0, difference: float = 0.0, rows_a_s: float = 1e5, **faults: int
) -> Figures:
    found = {int(status.removeprefix("s")): count for status, count in faults.items()}
    return Figures(rows_a_s, us_a_row, p50_ms, 3.0, 0, difference, 0.1, found)


def step(times: int, goodput: float, recovery_s: float | None = 0.5) -> Step:
    return Step(times, 9e5, goodput, 2.5, 10.0, 20.0, 7, 1.0, 2.0, 300.0, recovery_s, {})


def results(ours: Figures | None = None) -> Results:
    found = {
        (OURS, FULL): ours or figures(2.0),
        (OURS_BY_ENDPOINT, FULL): figures(5.0),
        ("MLServer", FULL): figures(4.0),
        ("BentoML", FULL): figures(4.9),
        ("MLflow", FULL): figures(17.0),
        ("SageMaker XGBoost container", FULL): figures(16.0),
        (OURS, ONE_ROW): figures(400.0, 0.4),
        ("MLServer", ONE_ROW): figures(900.0, 0.9),
        ("BentoML", ONE_ROW): figures(900.0, 0.8),
        (OURS, ALL_CORES): figures(rows_a_s=7.5e5),
        ("MLServer", ALL_CORES): figures(rows_a_s=5e5),
        ("MLflow", ALL_CORES): figures(rows_a_s=1e5),
    }
    return Results({(limit.ALONE, 4096): 1.2}, found, {name: (300.0, 200.0) for name, _ in found})


def whole(found: Results, verdicts: list[Verdict] | None = None) -> Report:
    servers = dict.fromkeys([*(name for name, _ in found.figures), "Ray Serve"], ("1.0", "JSON", "defaults"))
    load = {OURS: Overload(1e5, 2.0, [step(1, 1e5), step(10, 9.5e4)])}
    return Report(
        "a machine", "versions", "a method", servers, {"Ray Serve": "not installed"}, found, load, verdicts or [], []
    )


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 5), (51, 6), (99, 10), (100, 10)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert stats.percentile([10, 3, 1, 2, 5, 4, 9, 8, 7, 6], percent) == expected


def test_a_percentile_of_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        stats.percentile([], 50)


def test_spread_is_relative_to_the_minimum() -> None:
    assert stats.spread([2.0, 3.0, 2.5]) == 0.5
    assert stats.spread([0.0, 1.0]) == math.inf


def test_verdicts_compare_figures_of_the_same_run() -> None:
    verdicts = targets.judge(results(), {OURS: Overload(1e5, 2.0, [step(1, 1e5), step(10, 9.5e4)])})
    assert [(verdict.measured, verdict.met) for verdict in verdicts] == [
        ("60.0%", True),
        ("2.00 times", True),
        ("2.45 times", False),
        ("8.00 times", True),
        ("8.50 times", True),
        ("750,000 rows/s, 1.50 times MLServer's 500,000", True),
        ("0.40 ms, 50% of BentoML's 0.80 ms", True),
        ("2.50 times", True),
        ("95%; by CPU time 80%", True),
        ("0.5 s", True),
    ]


def test_a_target_without_figures_is_neither_met_nor_missed() -> None:
    verdicts = targets.judge(Results({}, {}, {}), {})
    assert {verdict.met for verdict in verdicts} == {None}
    assert all("was not measured" in verdict.measured for verdict in verdicts)


def test_a_server_that_never_responded_counts_as_not_measured() -> None:
    verdicts = targets.judge(results(ours=figures(math.nan)), {})
    assert [verdict.met for verdict in verdicts[:5]] == [None] * 5


def test_goodput_is_compared_with_the_best_step_and_a_service_that_stays_down_is_not_recovered() -> None:
    load = {OURS: Overload(2e5, 2.0, [step(1, 1e5), step(10, 1e5, recovery_s=None)])}
    assert [(verdict.measured, verdict.met) for verdict in targets.judge(results(), load)[-2:]] == [
        ("50%; by CPU time 80%", False),
        ("not at all", False),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234567.0, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123"), (0.0, "0")],
)
def test_numbers_have_three_significant_digits(value: float, expected: str) -> None:
    assert tables.number(value) == expected


def test_the_markdown_names_every_requested_server() -> None:
    found = results()
    text = report.markdown(whole(found, targets.judge(found, {})))
    assert "| snowsage, embedded | 2.00 | 500,000 | 1.67 | 1.00 | 0.400 | 3.00 | 300 (200) |" in text
    assert "| MLServer | 4.00 | 250,000 | 3.33 | 2.00 | 0.900 | 3.00 | 300 (200) |" in text
    assert "| Ray Serve | 1.0 | JSON | defaults |" in text
    assert "Ray Serve was not measured: not installed." in text
    assert "| 2 times MLServer's rows a CPU second, 4,096 × 4 | 2.00 times | met |" in text
    assert "| 10 × | 900,000 | 95,000 | 2.50 | 10.0 | 20.0 | 7 | 1.00 | 2.00 | 300 | 0.500 |" in text
    assert "every score that was compared equals" in text
    widths = [[line.count("|") for line in part.splitlines() if line.startswith("|")] for part in text.split("\n\n")]
    assert all(len(set(width)) <= 1 for width in widths)


def test_wrong_scores_and_bad_replies_are_faults() -> None:
    found = whole(results(ours=figures(2.0, 1.0, 0.25, s500=3, s0=1)))
    assert tables.faults(found) == [
        "snowsage, embedded, 4,096 × 4: 3 replies with status 500, 1 without a reply",
        "snowsage, embedded, 4,096 × 4: scores differ from inplace_predict's by up to 0.25",
    ]
    assert "- snowsage, embedded, 4,096 × 4: 3 replies with status 500" in report.markdown(found)


def test_a_batch_is_sent_as_snowflake_sends_it() -> None:
    plain, packed = (exchange.snowflake(80, "/predict/bench", "s", [[1.5, None]], packed) for packed in (False, True))
    assert orjson.loads(plain.body) == {"data": [[0, 1.5, None]]}
    assert plain.before.endswith(b"\r\nsf-external-function-query-batch-id: ")
    assert b"\r\nsf-external-function-signature: (F0 FLOAT, F1 FLOAT)\r\n" in plain.before
    assert b"\r\nContent-Encoding: gzip\r\n" in packed.before
    assert f"\r\nContent-Length: {len(packed.body)}\r\n".encode() in packed.before
    assert packed.scores(exchange.gzip(b'{"data":[[0,0.5]]}')).tolist() == [0.5]


def test_rows_out_of_order_are_an_error() -> None:
    with pytest.raises(ValueError, match="numbered"):
        exchange.batch_scores(b'{"data":[[1,0.5],[0,0.5]]}')


def test_a_null_is_an_empty_csv_cell_and_nan_in_the_matrix() -> None:
    assert exchange.csv([[1.5, None, 3], [None, 0.25, -1]]) == b"1.5,,3\n,0.25,-1"
    np.testing.assert_array_equal(workload.as_matrix([[1.5, None]]), np.array([[1.5, np.nan]], dtype=np.float32))


def test_a_chunked_body_is_reassembled() -> None:
    body = b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n"
    assert b"".join(load.dechunked(body)) == b"hello, world"


def test_points_are_named_by_rows_and_requests_in_flight() -> None:
    assert str(Point(4096, 4, packed=True)) == "4,096 × 4, gzip"
