"""A text outside a column's categories means the same wherever rows are encoded: in training, in batches and in every request."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batch.run import score_parquet
from app.errors import CallerError
from app.export.check import make_check
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.jit import categories, positional_reader
from app.serve.codecs.open_inference import LENGTH_HEADER, open_inference
from app.serve.codecs.signature import parse
from sagemaker_entry.arrow import prediction
from sagemaker_entry.arrow.columns import Columns
from sagemaker_entry.contract import Column, Contract, ContractViolation
from sagemaker_entry.dataset import Dataset
from sagemaker_entry.evaluate import baseline
from sagemaker_entry.model import Matrix, Model, encode_columns, encode_rows
from tests.entry.channel import write_channel
from tests.support.boosters import train

from .fakes import live_version

VALUES = ("web", "store", "", "päckchen", 'a"b')
LENIENT, STRICT = Column("A", "category", VALUES, "null"), Column("B", "category", VALUES[:2])
CONTRACT = Contract((LENIENT, STRICT, Column("C")), key=("ID",), label="L")
LIVE = live_version(contract=CONTRACT)

#: Known values, and others: plain, longer, with an escape, in another script, a prefix, and with white space.
TEXTS = st.sampled_from(
    [None, *VALUES, "kiosk", "webs", "we", "WEB", "web ", "a\\b", "ä", "日本", "\n", "x" * 300, "null"]
)
ROW = st.tuples(TEXTS, st.sampled_from([None, "web", "store"]), st.none() | st.floats(-9, 9, width=16))
ROWS = st.lists(ROW, min_size=1, max_size=9)


def expected(rows: list[tuple[Any, ...]]) -> np.ndarray:
    codes = [[np.nan if row[at] not in VALUES else VALUES.index(row[at]) for row in rows] for at in (0, 1)]
    return np.array([*codes, [np.nan if row[2] is None else row[2] for row in rows]], dtype=np.float32).T


def as_json(body: Any, *, ascii_only: bool) -> bytes:
    return json.dumps(body, ensure_ascii=ascii_only).encode()


def inference(rows: list[tuple[Any, ...]], *, raw: bool) -> Matrix:
    """As tensors in JSON, or as bytes behind it, where a text has no NULL."""
    columns = list(zip(*rows, strict=True))
    kinds, headers, tail = ("BYTES", "BYTES", "FP32"), dict[str, str](), b""
    inputs: list[dict[str, Any]] = [
        {"name": name, "datatype": kind, "shape": [len(rows)], "data": list(values)}
        for name, kind, values in zip("ABC", kinds, columns, strict=True)
    ]
    if raw:
        for tensor in inputs:
            if tensor["datatype"] == "BYTES":
                texts = [value.encode() for value in tensor.pop("data")]
                part = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
            else:
                part = np.array([np.nan if value is None else value for value in tensor.pop("data")], "<f4").tobytes()
            tensor["parameters"] = {"binary_data_size": len(part)}
            tail += part
    head = as_json({"inputs": inputs}, ascii_only=False)
    if raw:
        headers[LENGTH_HEADER] = str(len(head))
    return open_inference().decode(head + tail, LIVE, headers).matrix


def encoded(rows: list[tuple[Any, ...]], *, ascii_only: bool) -> dict[str, Matrix]:
    """By path, the matrix of the rows."""
    columns = dict(zip("ABC", map(list, zip(*rows, strict=True)), strict=True))
    arguments = {"data": [[number, *row] for number, row in enumerate(rows)]}
    objects = [dict(zip("ABC", row, strict=True)) for row in rows]
    numbered = {"data": [[number, item] for number, item in enumerate(objects)]}
    takes_object = parse("(FEATURES OBJECT)")
    batches = {}
    for name, kind in (("text", pa.string()), ("dictionary", pa.dictionary(pa.int32(), pa.string()))):
        arrays = {
            "A": pa.array(columns["A"], kind),
            "B": pa.array(columns["B"], kind),
            "C": pa.array(columns["C"], pa.float64()),
        }
        found, unfit = Columns.of(CONTRACT, pa.record_batch(arrays)), np.zeros(len(rows), np.uint32)
        batches[f"arrow {name}"] = prediction.encode(found, unfit)
        assert not unfit.any()
    texts_only = [tuple("web" if text is None else text for text in row[:2]) + row[2:] for row in rows]
    if texts_only == rows:
        batches["inference as bytes"] = inference(rows, raw=True)
    return batches | {
        "columns": encode_columns(CONTRACT, columns),
        "arrays": encode_columns(CONTRACT, {name: np.array(values, object) for name, values in columns.items()}),
        "rows": encode_rows(CONTRACT, rows)[0],
        "arguments": snowflake.decode_batch(as_json(arguments, ascii_only=ascii_only), LIVE, None).matrix,
        "object": snowflake.decode_batch(as_json(numbered, ascii_only=ascii_only), LIVE, takes_object).matrix,
        "named": named_rows.decode(as_json({"rows": objects}, ascii_only=ascii_only), LIVE, {}).matrix,
        "inference": inference(rows, raw=False),
    }


@given(ROWS, st.booleans())
def test_every_path_makes_the_same_matrix_of_rows_with_unknown_categories(rows: list[Any], ascii_only: bool) -> None:
    wanted = expected(rows)
    for path, matrix in encoded(rows, ascii_only=ascii_only).items():
        np.testing.assert_array_equal(matrix, wanted, err_msg=path)


def test_training_reads_unknown_categories_as_requests_do(tmp_path: Path) -> None:
    rows = [(text, "web", 1.0) for text in (None, *VALUES, "kiosk", "ä", "web ")]
    columns: dict[str, Any] = {
        "ID": np.arange(len(rows)), "AS_OF": np.array([datetime(2024, 1, 1)] * len(rows), "datetime64[us]"),
        "L": np.ones(len(rows)), **{name: np.array([row[at] for row in rows], object) for at, name in enumerate("AB")},
        "C": np.ones(len(rows)),
    }  # fmt: skip
    data = Dataset(write_channel(tmp_path, columns, contract=CONTRACT))
    part = data.part(data.times)
    np.testing.assert_array_equal(part.matrix, expected(rows))
    [first, *_] = baseline(CONTRACT, part)["features"]
    assert first["null_share"] == pytest.approx(4 / len(rows)), "monitoring counts unknown categories as NULL, too"
    assert sum(first["shares"]) + first["null_share"] == pytest.approx(1)


def test_batch_and_service_give_equal_scores_and_no_error_for_unknown_categories(tmp_path: Path) -> None:
    trained = train(categories=2, max_cat_to_onehot=2)
    columns = tuple(
        Column(column.name, column.dtype, column.categories, "null" if column.categories else "error")
        for column in trained.contract.columns
    )
    model = Model(trained.booster, Contract(columns, ("ID",), "Y"))
    texts = [name for name, column in zip(model.contract.names, columns, strict=True) if column.categories]
    rows = [{name: "never seen" if name in texts and row else None for name in model.contract.names} for row in (0, 1)]
    table = pa.table(
        {
            "ID": [1, 2], "AS_OF": pa.array([datetime(2026, 1, 1)] * 2, pa.timestamp("us")),
            **{
                name: pa.array([row[name] for row in rows], pa.string() if name in texts else pa.float64())
                for name in model.contract.names
            },
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet")
    assert not score_parquet(model, model.contract, tmp_path / "rows.parquet", tmp_path / "scores", unfit_allowed=False)
    found = pq.read_table(tmp_path / "scores")["SCORE"].to_pylist()
    live = live_version(contract=model.contract)
    matrix = named_rows.decode(json.dumps({"rows": rows}).encode(), live, {}).matrix
    assert found == model.predict(matrix).astype(float).tolist()
    assert found[0] == found[1], "an unknown category is NULL"
    assert "COUNT_IF(FALSE)" in make_check("SELECT 1", model.contract, unfit_allowed=False).statement.text


@pytest.mark.parametrize("value", [1, 1.5, True, ["web"], {"a": 1}])
def test_a_value_that_is_no_text_is_a_fault_in_both_kinds_of_columns(value: Any) -> None:
    for row, why in (
        ((value, "web", 1), "feature A must be a text or NULL"),
        (("web", value, 1), "feature B has a value outside its 2 declared categories"),
        (("web", "kiosk", 1), "feature B has a value outside its 2 declared categories"),
    ):
        assert encode_rows(CONTRACT, [row])[1] == {0: why}
        with pytest.raises(ContractViolation, match=why):
            encode_columns(CONTRACT, {name: [item] for name, item in zip("ABC", row, strict=True)})
        for decode in (
            lambda row=row: snowflake.decode_batch(json.dumps({"data": [[0, *row]]}).encode(), LIVE, None),
            lambda row=row: named_rows.decode(
                json.dumps({"rows": [dict(zip("ABC", row, strict=True))]}).encode(), LIVE, {}
            ),
        ):
            with pytest.raises(CallerError, match=why):
                decode()


def test_unknown_categories_of_plain_text_stay_on_the_compiled_path() -> None:
    table, columns = categories.table_of(CONTRACT), np.arange(3)
    found = positional_reader.parse(b'{"data": [[0, "kiosk", "web", 1], [1, "", null, 2]]}', columns, table)
    assert found is not None
    np.testing.assert_array_equal(found[0], np.array([[np.nan, 0, 1], [2, np.nan, 2]], np.float32))
    for text in ("a\\\\b", "\\u0061", "ä", "kiosk\x01", "kiosk\x00"):
        body = f'{{"data": [[0, "{text}", "web", 1]]}}'.encode()
        assert positional_reader.parse(body, columns, table) is None
    assert positional_reader.parse(b'{"data": [[0, "web", "kiosk", 1]]}', columns, table) is None
    assert positional_reader.parse(b'{"data": [[0, "kiosk', columns, table) is None
