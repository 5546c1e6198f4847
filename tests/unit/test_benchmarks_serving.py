"""The serving benchmark without a server: percentiles, verdicts, tables, requests and replies."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from app.settings import ServeSettings
from benchmarks.serving import workload
from benchmarks.serving.load import exchange, loops
from benchmarks.serving.measurement import limit, profile, stats
from benchmarks.serving.measurement.overload import Overload, Step
from benchmarks.serving.measurement.rounds import Figures, Point, Results
from benchmarks.serving.measurement.variations import LONG, Variation
from benchmarks.serving.results import report, tables, targets
from benchmarks.serving.results.tables import Report
from benchmarks.serving.results.targets import ALL_CORES, FULL, ONE_ROW, OURS, OURS_BY_ENDPOINT, Verdict
from benchmarks.serving.servers import processes, profiled
from benchmarks.serving.workload import DEPTH_6, STANDARD, Dimensions


def figures(
    us_a_row: float = 2.0, p50_ms: float = 1.0, difference: float = 0.0, rows_a_s: float = 1e5, **faults: int
) -> Figures:
    found = {int(status.removeprefix("s")): count for status, count in faults.items()}
    return Figures(rows_a_s, us_a_row, p50_ms, 3.0, 0, difference, 0.1, found)


def step(times: int, goodput: float, recovery_s: float | None = 0.5) -> Step:
    return Step(times, 9e5, goodput, 2.5, 10.0, 20.0, 7, 1.0, 2.0, 300.0, recovery_s, {})


def variation(dimensions: Dimensions, alone_us: float, figures: dict[Point, Figures] | None = None) -> Variation:
    return Variation(dimensions, "compiled", alone_us, 0.25, figures or {})


def results(ours: Figures | None = None) -> Results:
    found = {
        (OURS, FULL): ours or figures(1.0),
        (OURS_BY_ENDPOINT, FULL): figures(2.5),
        (OURS_BY_ENDPOINT, ONE_ROW): figures(1250.0),
        ("MLServer", FULL): figures(3.0),
        ("BentoML", FULL): figures(4.9),
        ("MLflow", FULL): figures(17.0),
        ("SageMaker XGBoost container", FULL): figures(16.0),
        (OURS, ONE_ROW): figures(400.0, 0.4),
        (OURS, replace(FULL, long=True)): figures(1.3),
        (OURS, LONG): figures(1.4),
        ("MLServer", ONE_ROW): figures(900.0, 0.9),
        ("BentoML", ONE_ROW): figures(900.0, 0.8),
        (OURS, ALL_CORES): figures(rows_a_s=7.5e5),
        ("MLServer", ALL_CORES): figures(rows_a_s=5e5),
        ("MLflow", ALL_CORES): figures(rows_a_s=1e5),
    }
    return Results({(limit.ALONE, 4096): 1.2}, found, {name: (300.0, 200.0) for name, _ in found})


def whole(found: Results, verdicts: list[Verdict] | None = None, variations: list[Variation] | None = None) -> Report:
    servers = dict.fromkeys([*(name for name, _ in found.figures), "Ray Serve"], ("1.0", "JSON", "defaults"))
    load = {OURS: Overload(1e5, 2.0, [step(1, 1e5), step(10, 9.5e4)])}
    absent = {"Ray Serve": "not installed"}
    return Report(
        "a machine", "versions", "a method", servers, absent, found, variations or [], load, verdicts or [], []
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
    variations = [variation(STANDARD, 1.0), variation(DEPTH_6, 0.5)]
    verdicts = targets.judge(results(), variations, {OURS: Overload(1e5, 2.0, [step(1, 1e5), step(10, 9.5e4)])})
    assert [(verdict.measured, verdict.met) for verdict in verdicts] == [
        ("4.00 times (compiled)", True),
        ("2.00 times (compiled)", False),
        ("1.20 times", True),
        ("3.00 times", True),
        ("4.90 times", False),
        ("16.00 times", True),
        ("17.00 times", True),
        ("750,000 rows/s, 1.50 times MLServer's 500,000", True),
        ("0.40 ms, 50% of BentoML's 0.80 ms", False),
        ("2.50 times", True),
        ("1.25 ms", False),
        ("95%; by CPU time 80%", True),
        ("0.5 s", True),
    ]


def test_a_target_without_figures_is_neither_met_nor_missed() -> None:
    verdicts = targets.judge(Results({}, {}, {}), [], {})
    assert {verdict.met for verdict in verdicts} == {None}
    assert all("was not measured" in verdict.measured for verdict in verdicts)


def test_a_server_that_never_responded_counts_as_not_measured() -> None:
    verdicts = targets.judge(results(ours=figures(math.nan)), [], {})
    assert [verdict.met for verdict in verdicts[:7]] == [None] * 7


def test_goodput_is_compared_with_the_best_step_and_a_service_that_stays_down_is_not_recovered() -> None:
    load = {OURS: Overload(2e5, 2.0, [step(1, 1e5), step(10, 1e5, recovery_s=None)])}
    assert [(verdict.measured, verdict.met) for verdict in targets.judge(results(), [], load)[-2:]] == [
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
    text = report.markdown(whole(found, targets.judge(found, [], {})))
    assert "| snowsage, embedded | 1.00 | 1,000,000 | 0.833 | 1.00 | 1.30 | 0.400 | 3.00 | 300 (200) |" in text
    assert "| MLServer | 3.00 | 333,333 | 2.50 | 3.00 | – | 0.900 | 3.00 | 300 (200) |" in text
    assert "| Ray Serve | 1.0 | JSON | defaults |" in text
    assert "Ray Serve was not measured: not installed." in text
    assert "| 3 times MLServer's rows a CPU second, 4,096 × 4 | 3.00 times | met |" in text
    assert "| 10 × | 900,000 | 95,000 | 2.50 | 10.0 | 20.0 | 7 | 1.00 | 2.00 | 300 | 0.500 |" in text
    assert "every score that was compared equals" in text
    widths = [[line.count("|") for line in part.splitlines() if line.startswith("|")] for part in text.split("\n\n")]
    assert all(len(set(width)) <= 1 for width in widths)


def test_other_models_are_in_one_table_with_the_standard_one() -> None:
    further = variation(DEPTH_6, 2.0, {FULL: figures(1.6), LONG: figures(1.8, s413=2)})
    wide = variation(Dimensions(200, 300, 8), 7.5)
    found = whole(results(), variations=[variation(STANDARD, 1.0), further, wide])
    text = report.markdown(found)
    assert "| 30 features, 100 trees of depth 5 | compiled | 1.00 | 0.250 | 4.00 | 1.00 | 1.00 | 1.40 |" in text
    assert "| 30 features, 100 trees of depth 6 | compiled | 2.00 | 0.250 | 8.00 | 1.60 | 1.25 | 1.80 |" in text
    assert "| 200 features, 300 trees of depth 8 | compiled | 7.50 | 0.250 | 30.0 | – | – | – |" in text
    assert tables.faults(found) == [
        "30 features, 100 trees of depth 6, 1,000 × 4, 17 digits: 2 replies with status 413"
    ]


def test_a_point_with_numbers_of_17_digits_has_a_line_of_its_own() -> None:
    text = report.markdown(whole(results()))
    assert "| snowsage, embedded | 4, 17 digits | 100,000 | 1.30 |" in text


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


@pytest.mark.parametrize("features", [3, 30, 200])
def test_long_rows_have_the_same_nulls_and_17_digits(features: int) -> None:
    dimensions = Dimensions(features, 1, 1)
    data = workload.make(dimensions)
    assert data.matrix.shape == (workload.MOST_ROWS, features)
    assert len(data.model.contract.names) == features
    np.testing.assert_array_equal(np.isnan(data.long.matrix), np.isnan(data.matrix))
    digits = [len(repr(cell).replace("-", "").replace(".", "").strip("0")) for cell in data.long.rows[0] if cell]
    assert max(digits) >= 16


@pytest.mark.parametrize("depth", [5, 6])
def test_the_forest_serves_the_models_of_the_targets(depth: int) -> None:
    data = workload.make(Dimensions(30, 3, depth))
    assert data.model.predictor.name == "compiled"
    assert sorted(limit.predictions(data, 10)) == sorted([limit.ALONE, limit.PREDICT])


@pytest.mark.slow
def test_a_body_of_any_measured_dimensions_is_within_the_services_limit() -> None:
    limit_bytes = ServeSettings.model_fields["max_body_bytes"].default
    for features in {dimensions.features for dimensions in workload.FURTHER}:
        data = workload.make(Dimensions(features, 1, 1))
        bodies = [
            exchange.snowflake(80, "/", "s", (data.long if point.long else data).rows[: point.rows]).body
            for point in (FULL, LONG)
        ]
        assert max(map(len, bodies)) < limit_bytes


def test_a_profile_divides_all_cpu_time() -> None:
    us = profile.divided(1e-3, {"decode": 2e-4, "score": 1e-4, "encode": 5e-5, "admission": 1.5e-4}, 10)
    assert list(us) == ["decode", "admission", "predict", "encode", "HTTP"]
    assert us == pytest.approx({"decode": 20, "admission": 15, "predict": 10, "encode": 5, "HTTP": 50})
    table = tables.profiles([profile.Profile(ONE_ROW, 10, us)])
    assert table.rows[-2:] == [("HTTP", "50.0", "50.0%"), ("all", "100", "100%")]


def test_cpu_time_is_counted_by_the_innermost_part_and_not_while_waiting(tmp_path: Path) -> None:
    counters = profiled.Counters(tmp_path / "counters")

    async def request() -> None:
        await asyncio.sleep(0.01)
        with counters.part(profiled.PARTS.index("decode")):
            burn(0.02)
        raise KeyError

    async def run() -> None:
        await profiled.stepped(counters, profiled.PARTS.index("admission"), request())

    started = time.thread_time()
    with pytest.raises(KeyError):
        asyncio.run(run())
    spent = time.thread_time() - started
    found = profiled.read(tmp_path / "counters")
    assert 0.02 <= found["decode"] <= spent
    assert 0 < found["admission"] <= spent - found["decode"]
    assert found["score"] == found["encode"] == 0


def test_a_cancelled_request_is_cancelled_inside_the_counted_steps(tmp_path: Path) -> None:
    counters = profiled.Counters(tmp_path / "counters")
    seen: list[str] = []

    async def request() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def run() -> None:
        task = asyncio.ensure_future(profiled.stepped(counters, 0, request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert seen == ["cancelled"]


def test_the_cpu_time_of_another_process_is_precise() -> None:
    code = """
import sys, time
sys.stdin.readline()
while time.process_time() < 0.05:
    pass
print(time.process_time_ns(), flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        members = processes.tree([child.pid])
        child.stdin.write("\n")
        seconds = int(child.stdout.readline()) / 1e9
        found = processes.cpu_s(members)
        child.stdin.close()
    assert seconds <= found < seconds + 0.5
    assert round(found * 1e9) % 10_000_000  # not in the steps of /proc
    assert processes.cpu_s(members) == 0  # it ended


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_chunked_body_is_reassembled() -> None:
    body = b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n"
    assert b"".join(loops.dechunked(body)) == b"hello, world"


def test_points_are_named_by_rows_and_requests_in_flight() -> None:
    assert str(Point(4096, 4, packed=True)) == "4,096 × 4, gzip"
