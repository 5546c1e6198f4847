"""The batch stage's cost: Parquet to scores to Parquet, against the same reading and writing without a prediction.

CPU time of the whole process, all threads, as the product runs the stage; everything is seeded, and rounds are interleaved, so
that a noisy moment affects both paths alike. Each score is compared with the one that XGBoost's own predictor gives.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import xgboost
from rich.console import Console

from app.batch.plan import CHUNK_ROWS
from app.batch.run import predictions, rewrite_parquet, score_parquet
from benchmarks.serving import workload
from benchmarks.serving.results import report
from benchmarks.serving.results.tables import Table, number
from sagemaker_entry import dense
from sagemaker_entry.arrow.columns import Columns
from sagemaker_entry.arrow.prediction import Predicted, predict
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.forest.vectors import BLOCK
from sagemaker_entry.model import Model

#: The share of the rows a CPU second without prediction that the stage is to reach.
TARGET = 0.70

ROWS, TRAINED_ROWS, NULL_SHARE = 300_000, 20_000, 0.02
#: Blocks of rows that are converted at a time where that is measured alone.
ENCODED_BLOCKS = 16
#: Different texts in each of the first columns of the case with categories.
LEVELS = (4, 50, 300)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """``nulls``: the share of NULL; ``levels``: of each category column, the number of its texts; ``errors``: the stage writes
    what is wrong with a row, as it does for ``on_bad_row: error``."""

    name: str
    nulls: float = 0.0
    levels: tuple[int, ...] = ()
    errors: bool = False


CASES = (
    Case("numbers"),
    Case("numbers and NULLs", NULL_SHARE),
    Case("numbers and NULLs, on_bad_row: error", NULL_SHARE, errors=True),
    Case(f"{len(LEVELS)} categories, numbers and NULLs", NULL_SHARE, LEVELS),
)


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU time a row, medians of the rounds.

    ``bare``: reading and writing; ``stage``: with prediction; ``read``, ``encode`` and ``predict`` alone, the last with encoding.
    ``share``: the rows a CPU second of the stage, of those without prediction, the median of what each round gives. ``wrong``:
    scores that differ from XGBoost's.
    """

    bare: float
    stage: float
    read: float
    encode: float
    predict: float
    share: float
    wrong: int


@dataclass(frozen=True)
class Prepared:
    """A case's model, its rows in a file, and the scores of XGBoost's predictor."""

    case: Case
    model: Model
    source: Path
    target: Path
    expected: npt.NDArray[np.float32]


def prepare(case: Case, rows: int, folder: Path) -> Prepared:
    """Write the model and the rows of ``case`` into the new ``folder``, with the types that the export writes."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(1)
    values, contract = _values(case, chance, rows), _contract(case)
    (folder / "model").mkdir()
    _trained(case, contract).save(folder / "model")
    model = Model.load(folder / "model")
    columns: dict[str, Any] = {
        "ID": pa.array(np.arange(rows)),
        "AS_OF": pa.array([datetime(2026, 1, 1)] * rows, pa.timestamp("us")),
    }
    for index, column in enumerate(contract.columns):
        null = np.isnan(values[:, index])
        if column.categories:
            codes = np.nan_to_num(values[:, index]).astype(np.int64)
            columns[column.name] = pa.array(np.array(column.categories, object)[codes], pa.string(), mask=null)
        else:
            columns[column.name] = pa.array(values[:, index], mask=null if case.nulls else None)
    source = folder / "rows.parquet"
    pq.write_table(pa.table(columns), source, compression="snappy")
    return Prepared(case, model, source, folder / "scores.parquet", dense.predict(model.booster, _matrix(values)))


def measure(prepared: Prepared, rounds: int) -> Cost:
    """The cost of the case, and whether its scores are right."""
    model, source, target = prepared.model, prepared.source, prepared.target
    contract, rows, errors = model.contract, len(prepared.expected), prepared.case.errors
    texts = [column.name for column in contract.columns if column.categories]
    chunks = list(pq.ParquetFile(source, read_dictionary=texts).iter_batches(CHUNK_ROWS))
    table = np.zeros((ENCODED_BLOCKS, len(contract.names), BLOCK), np.float32)

    def stage() -> None:
        score_parquet(model, contract, source, target, unfit_allowed=errors)

    def encode() -> None:
        for chunk in chunks:
            columns, unfit = Columns.of(contract, chunk), np.zeros(len(chunk), np.uint32)
            for first in range(0, len(chunk), ENCODED_BLOCKS * BLOCK):
                columns.fill(first, unfit[first : first + ENCODED_BLOCKS * BLOCK], table)

    stage()
    wrong = _wrong(target, prepared.expected)
    paths: dict[str, Callable[[], object]] = {
        "bare": lambda: _bare(prepared),
        "stage": stage,
        "read": lambda: [None for _ in pq.ParquetFile(source, read_dictionary=texts).iter_batches(CHUNK_ROWS)],
        "encode": encode,
        "predict": lambda: [predict(model, Columns.of(contract, chunk)) for chunk in chunks],
    }
    found: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            started = time.process_time_ns()
            path()
            found[name].append((time.process_time_ns() - started) / 1000 / rows)
    # Of one round, bare and stage run one after the other, so other work on the machine meets both.
    share = median(bare / whole for bare, whole in zip(found["bare"], found["stage"], strict=True))
    return Cost(**{name: median(values) for name, values in found.items()}, share=share, wrong=wrong)


def results(found: dict[str, Cost], rows: int, rounds: int) -> list[Table]:
    """The tables of a run: costs by case, and where the time goes."""
    shares = [
        (
            name,
            number(1e6 / cost.bare),
            number(1e6 / cost.stage),
            f"{cost.share:.0%}",
            "met" if cost.share >= TARGET else "missed",
        )
        for name, cost in found.items()
    ]
    profile = [
        (
            name,
            number(cost.read),
            number(cost.encode),
            number(cost.predict - cost.encode),
            number(cost.bare - cost.read),
            number(cost.stage),
        )
        for name, cost in found.items()
    ]
    note = (
        f"{rows:,} rows of {workload.FEATURES} features, {workload.TREES} trees of depth {workload.DEPTH}, medians of {rounds} "
        "interleaved rounds in one process, CPU time of all its threads. " + _verdict(found)
    )
    return [
        Table(
            "Batch stage: Parquet to scores to Parquet",
            ("rows", "rows a CPU s, no prediction", "rows a CPU s", "share", f"at least {TARGET:.0%}"),
            shares,
            note,
        ),
        Table(
            "Batch stage: µs of CPU time a row",
            ("rows", "read", "to float32", "trees", "write", "all"),
            profile,
        ),
    ]


def main(
    rows: Annotated[int, typer.Option(min=1, help="Rows of a file.")] = ROWS,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds; the figures are their medians.")] = 15,
    markdown: Annotated[Path | None, typer.Option(help="Write the section here.", show_default=False)] = None,
) -> None:
    """Measure. Exit code 1 if a score was wrong; a missed target is only shown."""
    with tempfile.TemporaryDirectory(prefix="snowsage-benchmark-") as folder:
        found = {
            case.name: measure(prepare(case, rows, Path(folder, str(index))), rounds)
            for index, case in enumerate(CASES)
        }
    made = results(found, rows, rounds)
    out = Console(width=None if sys.stdout.isatty() else 150)
    for table in made:
        out.print(report.rich_table(table))
        if table.note:
            out.print(table.note, highlight=False)
    out.print(f"{report.machine()}; {report.versions()}", highlight=False)
    if markdown is not None:
        head = f"{report.machine()}.  \n{report.versions()}."
        markdown.write_text("\n\n".join([head, *(report.markdown_table(table) for table in made)]) + "\n")
    sys.exit(1 if any(cost.wrong for cost in found.values()) else 0)


def _bare(prepared: Prepared) -> None:
    """The stage's reading and writing, with scores that are there already."""
    contract, at = prepared.model.contract, 0

    def known(chunk: Any) -> Any:
        nonlocal at
        scores = prepared.expected[at : at + len(chunk)]
        at += len(chunk)
        found = Predicted(scores, np.zeros(len(chunk), np.uint32), ())
        return predictions(contract, chunk, found, with_errors=prepared.case.errors)

    rewrite_parquet(prepared.source, prepared.target, contract, known)


def _verdict(found: dict[str, Cost]) -> str:
    wrong = {name: cost.wrong for name, cost in found.items() if cost.wrong}
    if wrong:
        return "Wrong scores: " + ", ".join(f"{count:,} of {name}" for name, count in wrong.items()) + "."
    return "Every score equals `inplace_predict`'s, bit for bit."


def _wrong(target: Path, expected: npt.NDArray[np.float32]) -> int:
    """Scores of the file that differ from ``expected``, a missing row counted as one."""
    found = pq.read_table(target, columns=["SCORE"])["SCORE"].to_numpy()
    both = min(len(found), len(expected))
    return abs(len(found) - len(expected)) + int((found[:both] != expected[:both].astype(np.float64)).sum())


def _contract(case: Case) -> Contract:
    columns = [
        Column(f"F{index}", "category", tuple(f"product {index}-{level}" for level in range(case.levels[index])))
        if index < len(case.levels)
        else Column(f"F{index}")
        for index in range(workload.FEATURES)
    ]
    return Contract(tuple(columns), ("ID",), "Y")


def _values(case: Case, chance: np.random.Generator, rows: int) -> Values:
    """As the serving benchmark's rows: a third each with six decimals, with two, and of integers; codes in category columns."""
    third = workload.FEATURES // 3
    values = np.hstack(
        [
            chance.normal(size=(rows, third)).round(6),
            (chance.normal(size=(rows, third)) * 1000).round(2),
            chance.integers(0, 1000, size=(rows, third)).astype(np.float64),
        ]
    )
    for index, levels in enumerate(case.levels):
        values[:, index] = chance.integers(0, levels, rows)
    values[chance.random(values.shape) < case.nulls] = np.nan
    return values


def _matrix(values: Values) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values.astype(np.float32))


def _trained(case: Case, contract: Contract) -> Model:
    chance = np.random.default_rng(0)
    matrix = _matrix(_values(Case("training", NULL_SHARE, case.levels), chance, TRAINED_ROWS))
    label = (np.nan_to_num(matrix[:, 0]) / 1000 + chance.normal(size=len(matrix)) > 0).astype(np.float32)
    kinds = ["c" if column.categories else "q" for column in contract.columns]
    data = xgboost.DMatrix(matrix, label, feature_types=kinds, enable_categorical=True, nthread=1)
    params: dict[str, Any] = {"objective": "binary:logistic", "max_depth": workload.DEPTH, "nthread": 1}
    return Model(xgboost.train(params, data, workload.TREES), contract)


if __name__ == "__main__":
    typer.run(main)
