"""The batch stage's file of scores: each row of the export once, in its order, with the service's bits."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.batch import run
from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.model import Model, encode_columns
from tests.support.boosters import train

ROWS = 10_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("model")
    trained = train(categories=2, max_cat_to_onehot=2)
    Model(trained.booster, trained.contract).save(folder)
    return Model.load(folder, threads=2)


def exported(model: Model, rows: int = ROWS, **changed: Any) -> pa.Table:
    """Rows as the export has them. ``changed``: by column, the value of row 7."""
    chance = np.random.default_rng(2)
    columns: dict[str, Any] = {
        "ID": pa.array(chance.permutation(rows)),
        "AS_OF": pa.array([datetime(2026, 1, 1)] * rows, pa.timestamp("us")),
    }
    for column in model.contract.columns:
        values: list[Any] = (
            np.array(column.categories, object)[chance.integers(0, 40, rows)].tolist()
            if column.categories
            else chance.normal(size=rows).tolist()
        )
        values = [None if null else value for value, null in zip(values, chance.random(rows) < 0.05, strict=True)]
        if column.name in changed:
            values[7] = changed[column.name]
        columns[column.name] = pa.array(values, pa.string() if column.categories else pa.float64())
    return pa.table(columns)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CHUNK_ROWS", 1_000)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dictionary", [True, False])
def test_every_row_has_its_score_in_the_order_of_the_file(model: Model, tmp_path: Path, dictionary: bool) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "scores.parquet"
    table = exported(model)
    pq.write_table(table, source, row_group_size=3_333, use_dictionary=dictionary)
    assert not run.score_parquet(model, model.contract, source, target, unfit_allowed=False)
    found = pq.read_table(target)
    assert found.schema.names == ["ID", "AS_OF", "SCORE"]
    assert found.select(["ID", "AS_OF"]).equals(table.select(["ID", "AS_OF"]))
    values = {name: table[name].to_pylist() for name in model.contract.names}
    expected = model.predict(encode_columns(model.contract, values)).astype(np.float64)
    np.testing.assert_array_equal(found["SCORE"].to_numpy(), expected)


@pytest.mark.usefixtures("small_chunks")
def test_unfit_rows_have_an_error_instead_of_a_score(model: Model, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "scores.parquet"
    pq.write_table(exported(model, F0="other", F5=1e39), source)
    unfit = run.score_parquet(model, model.contract, source, target, unfit_allowed=True)
    why = "feature F0 has a value outside its 40 declared categories"
    assert unfit == {why: 1}
    found = pq.read_table(target)
    assert found.schema.field("ERROR").type == pa.string()
    assert (found["SCORE"].null_count, found["ERROR"].null_count) == (1, ROWS - 1)
    assert (found["SCORE"][7].as_py(), found["ERROR"][7].as_py()) == (None, why)


def test_an_unfit_row_stops_the_batch_where_it_is_not_allowed(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    pq.write_table(exported(model, F5=float("inf")), source)
    with pytest.raises(ContractViolation, match="feature F5 has a value that is infinite"):
        run.score_parquet(model, model.contract, source, tmp_path / "scores.parquet", unfit_allowed=False)


def test_a_file_without_rows_makes_no_file(model: Model, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "scores.parquet"
    pq.write_table(exported(model, rows=8).slice(0, 0), source)
    assert not run.score_parquet(model, model.contract, source, target, unfit_allowed=False)
    assert not target.exists()
