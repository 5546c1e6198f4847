"""One entity removed: its key as it is written, the files that hold it, and the statements."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.erasure.files import search_files
from app.erasure.key import EntityKey, new_salt, parse_key
from app.erasure.run import erase_entity, find_entity
from app.erasure.tables import CREATE_ERASURES, KeyedTable, record, record_files, remove_rows
from app.errors import CallerError
from app.export.manifest import Export, ExportedFile
from app.ports import Table
from app.sql import Name
from tests.support.fakes import FakeStore, FakeWarehouse
from tests.support.statements import read
from tests.unit import churn
from tests.unit.test_features import columns

KEY = EntityKey({"CUSTOMER_ID": 17})
FOLDER = "s3://lake/churn/"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "name the entity to erase, such as --key CUSTOMER_ID=17"),
        (["CUSTOMER_ID"], "--key names a column of the entity and its value"),
        (["NAME=x"], "the entity's columns are CUSTOMER_ID, SHOP"),
        (["CUSTOMER_ID=x"], "--key CUSTOMER_ID: the entity declares NUMBER"),
        (["CUSTOMER_ID=1", "customer_id=2"], "--key names CUSTOMER_ID twice"),
    ],
)
def test_a_key_that_names_no_entity_is_refused(written: list[str], said: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_key({"CUSTOMER_ID": "NUMBER", "SHOP": "VARCHAR"}, written)
    assert said in str(caught.value)


def test_a_key_has_the_types_of_the_entity() -> None:
    found = parse_key({"CUSTOMER_ID": "NUMBER", "SHOP": "VARCHAR"}, ["customer_id=17", "SHOP=a=b"])
    assert found == EntityKey({"CUSTOMER_ID": 17, "SHOP": "a=b"})
    assert (found.condition, found.binds) == ('"CUSTOMER_ID" = ? AND "SHOP" = ?', (17, "a=b"))


def test_the_record_of_a_key_has_another_digest_each_time() -> None:
    first, second = new_salt(), new_salt()
    assert KEY.salted_sha256(first) == KEY.salted_sha256(first) != KEY.salted_sha256(second)
    statement = record("id", "churn", KEY, first, {"FEATURE_STORE.V": 3}, churn.KNOWN_AT)
    assert 17 not in statement.binds
    assert "17" not in [bind for bind in statement.binds if isinstance(bind, str)]


def parquet(**values: Any) -> bytes:
    body = io.BytesIO()
    pq.write_table(pa.table(values), body, row_group_size=2)
    return body.getvalue()


def rows(store: FakeStore, uri: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(io.BytesIO(store.objects[uri])).to_pydict()
    return found


NUMBERS = pa.array([Decimal(17), Decimal(18), None, Decimal(17)], pa.decimal128(38, 0))
EXPORT, PREDICTED = f"{FOLDER}r/export/", f"{FOLDER}r/batch/predictions/part-00000.parquet"
CAPTURE = f"{FOLDER}serve/capture/date=2026-01-01/1.parquet"


def stored() -> FakeStore:
    body = parquet(CUSTOMER_ID=NUMBERS, A=[1.0, 2.0, 3.0, None])
    manifest = Export(
        EXPORT, churn.CONTRACT.to_dict(), 4, (ExportedFile("data/a.parquet", 4, len(body)),), ("CUSTOMER_ID",)
    )
    return FakeStore(
        {
            f"{EXPORT}data/a.parquet": body,
            f"{EXPORT}manifest.json": manifest.to_json(),
            PREDICTED: parquet(CUSTOMER_ID=[1, 17], SCORE=[0.1, 0.2]),
            CAPTURE: parquet(key=["17", "170", None], score=[0.1, 0.2, 0.3]),
            f"{FOLDER}serve/deferred/ab/request": b"{}",
            f"{FOLDER}r/train/report.json": b"{}",
            "s3://lake/churn-two/r/export/data/b.parquet": parquet(CUSTOMER_ID=[17]),
        }
    )


def test_files_are_written_again_without_the_entity_and_so_are_their_manifests() -> None:
    store = stored()
    found = search_files(store, FOLDER, KEY, captured_by="CUSTOMER_ID", remove=False)
    assert found.rows == {f"{EXPORT}data/a.parquet": 2, PREDICTED: 1, CAPTURE: 1}
    assert found.unmatched == (f"{FOLDER}serve/deferred/ab/request",)
    assert store.writes == []
    assert search_files(store, FOLDER, KEY, captured_by="CUSTOMER_ID", remove=True) == found
    assert rows(store, f"{EXPORT}data/a.parquet") == {"CUSTOMER_ID": [Decimal(18), None], "A": [2.0, 3.0]}
    assert rows(store, CAPTURE)["key"] == ["170", None]
    manifest = Export.from_json(store.objects[f"{EXPORT}manifest.json"])
    assert (manifest.rows, manifest.files[0].rows) == (2, 2)
    assert manifest.files[0].size_bytes == len(store.objects[f"{EXPORT}data/a.parquet"])
    assert search_files(store, FOLDER, KEY, captured_by="CUSTOMER_ID", remove=True).rows == {}


def test_a_removal_that_was_killed_before_the_manifest_is_completed() -> None:
    store = stored()
    store.objects[f"{EXPORT}data/a.parquet"] = parquet(CUSTOMER_ID=[18], A=[2.0])
    search_files(store, FOLDER, KEY, captured_by="CUSTOMER_ID", remove=True)
    assert Export.from_json(store.objects[f"{EXPORT}manifest.json"]).rows == 1


def test_captured_requests_without_a_key_cannot_be_searched() -> None:
    found = search_files(stored(), FOLDER, KEY, captured_by=None, remove=False)
    assert CAPTURE in found.unmatched
    both = EntityKey({"CUSTOMER_ID": 17, "SHOP": "x"})
    assert search_files(stored(), FOLDER, both, captured_by="CUSTOMER_ID", remove=False).rows == {}


@pytest.mark.parametrize("values", [["17", "x"], [17.0, 1.5], pa.array(["17", "x"]).dictionary_encode()])
def test_keys_of_other_types_are_compared_by_value(values: Any) -> None:
    store = FakeStore({f"{FOLDER}r/a.parquet": parquet(customer_id=values)})
    assert search_files(store, FOLDER, KEY, captured_by=None, remove=True).rows == {f"{FOLDER}r/a.parquet": 1}


def test_a_column_that_cannot_hold_the_key_holds_no_entity() -> None:
    big = EntityKey({"CUSTOMER_ID": 2**40})
    store = FakeStore({f"{FOLDER}r/a.parquet": parquet(CUSTOMER_ID=pa.array([1, 2], pa.int8()))})
    assert search_files(store, FOLDER, big, captured_by=None, remove=True).rows == {}


SHOWN = Table(
    ("name", "kind", "comment"),
    [
        ("CUSTOMER_ORDERS", "TABLE", "snowsage: pipeline other; slices"),
        ("CHURN_OLD", "TABLE", "snowsage: pipeline churn; slices"),
        ("CHURN_FEATURES", "VIEW", "snowsage: pipeline churn; features"),
        ("SHOPS", "TABLE", "snowsage: pipeline churn; slices"),
        ("FOREIGN", "TABLE", "snowsage: pipeline other; slices"),
        ("CHURN_SCORES", "TABLE", "snowsage: pipeline churn; scores"),
        ("CHURN_SCORES__LOAD_R", "TRANSIENT", ""),
        ("CHURN_SCORES_MINE", "TABLE", ""),
    ],
)  # fmt: skip


def warehouse() -> FakeWarehouse:
    sliced = columns(
        "CUSTOMER_ID number", "AS_OF time", "FEATURE_VERSION number", "KNOWN_AT time", "CREATED_AT time", "A number"
    )
    described = {
        "SHOPS": columns("SHOP text"),
        "CHURN_SCORES": columns("CUSTOMER_ID number", "SCORE number"),
        "RAW": churn.SOURCE,
    }
    counted = [("FEATURE_STORE.CUSTOMER_ORDERS", 3)]
    return FakeWarehouse({"SHOW OBJECTS": SHOWN, "AS TABLE_NAME": counted}, {**described, "FEATURE_STORE": sliced})


def test_the_tables_that_a_pipeline_owns_or_shares_are_searched() -> None:
    tables, found = find_entity(warehouse(), FakeStore(), churn.PIPELINE, "lake", KEY)
    sliced = [str(table.name) for table in tables.keyed if table.is_sliced]
    assert sliced == ["FEATURE_STORE.CUSTOMER_ORDERS", "FEATURE_STORE.CHURN_OLD"]
    assert {table.features for table in tables.keyed if table.is_sliced} == {("A",)}
    assert {str(table.name) for table in tables.keyed if not table.is_sliced} >= {
        "ANALYTICS.CHURN_SCORES", "ANALYTICS.CHURN_SCORES__LOAD_R"
    }  # fmt: skip
    assert not any(table.name.last in ("FOREIGN", "CHURN_FEATURES", "CHURN_SCORES_MINE") for table in tables.keyed)
    assert found.unkeyed == ("FEATURE_STORE.SHOPS",)
    assert found.tables == {"FEATURE_STORE.CUSTOMER_ORDERS": 3}


def test_rows_and_record_are_one_transaction() -> None:
    connection = warehouse()
    done = erase_entity(connection, FakeStore(), churn.PIPELINE, "lake", KEY)
    ((*removed, recorded),) = connection.transactions
    assert [statement.text.split()[0] for statement in removed[:4]] == ["MERGE", "DELETE", "MERGE", "DELETE"]
    assert recorded.text.startswith('INSERT INTO "FEATURE_STORE"."ERASURES"')
    assert connection.statements[-1] == record_files(done.id, {})


def test_the_statements_parse() -> None:
    table = KeyedTable(Name.parse("FEATURE_STORE.V"), is_sliced=True, features=("A", "B'"))
    plain = KeyedTable(Name.parse("ANALYTICS.S"), is_sliced=False)
    statements = [
        *(CREATE_ERASURES, *remove_rows(table, KEY), *remove_rows(plain, KEY)),
        record("i", "churn", KEY, "s", {"T": 1}, churn.KNOWN_AT),
        record_files("i", {"f": 1}),
    ]
    for statement in statements:
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)
