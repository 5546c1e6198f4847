"""The batch benchmark on a few rows: it compares every score, and its verdict follows from the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import batch
from benchmarks.serving import workload


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "TREES", 3)
    monkeypatch.setattr(batch, "TRAINED_ROWS", 500)


@pytest.mark.parametrize("case", batch.CASES, ids=lambda case: case.name)
def test_both_paths_write_the_same_rows(case: batch.Case, tmp_path: Path) -> None:
    prepared = batch.prepare(case, 500, tmp_path / "case")
    cost = batch.measure(prepared, 1)
    assert cost.wrong == 0
    assert min(cost.bare, cost.stage, cost.read, cost.encode, cost.predict) > 0
    scored = pq.read_table(prepared.target)
    batch._bare(prepared)
    assert pq.read_table(prepared.target).equals(scored)
    nulls = sum(column.null_count for column in pq.read_table(prepared.source).columns)
    assert (nulls > 0) == (case.nulls > 0)


def test_a_wrong_and_a_missing_score_are_counted(tmp_path: Path) -> None:
    prepared = batch.prepare(batch.CASES[0], 500, tmp_path / "case")
    wrong = prepared.expected.astype(float)
    wrong[3] += 1e-9
    pq.write_table(pa.table({"SCORE": wrong[:-1]}), prepared.target)
    assert batch._wrong(prepared.target, prepared.expected) == 2


def test_the_verdict_compares_the_share_of_each_case() -> None:
    cost = batch.Cost(bare=0.5, stage=0.7, read=0.3, encode=0.05, predict=0.2, share=0.712, wrong=0)
    shares, profile = batch.results({"good": cost, "bad": replace(cost, share=0.689, wrong=4)}, 100, 3)
    assert [row[-2:] for row in shares.rows] == [("71%", "met"), ("69%", "missed")]
    assert profile.rows[0] == ("good", "0.300", "0.0500", "0.150", "0.200", "0.700")
    assert "Wrong scores: 4 of bad." in shares.note
