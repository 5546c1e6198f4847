"""The plan of nested calls grows with their number, not exponentially: no operand is repeated once it calls a macro itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlglot import exp, parse_one

from localcloud.snowflake.assembly import assemble
from localcloud.snowflake.functions import macros
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.account.authentication import Users
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import OWN, Session
from localcloud.snowflake.sql.identifiers import text_literal

_COLUMNS = "(n INT, x FLOAT, s TEXT, ts TIMESTAMP_NTZ, v VARIANT, o OBJECT, a ARRAY, b BINARY)"
# A column, and calls that are nested around it.
_CALLS = [
    ("ts", "DATE_TRUNC('day', CONVERT_TIMEZONE('America/New_York', {}))"),
    ("ts", "DATEADD(day, 1, CONVERT_TIMEZONE('America/New_York', {}))"),
    ("ts", "CONVERT_TIMEZONE('UTC', 'Asia/Tokyo', {})"),
    ("ts", "CONVERT_TIMEZONE('Asia/Tokyo', {})::VARCHAR::TIMESTAMP_TZ"),
    ("ts", "TO_TIMESTAMP(TO_CHAR({}, 'YYYY-MM-DD HH24:MI:SS'))"),
    ("ts", "TO_TIMESTAMP(TO_CHAR(CONVERT_TIMEZONE('Asia/Tokyo', {}), 'YYYY-MM-DD TZHTZM'))"),
    ("ts", "TO_TIMESTAMP_LTZ({})"),
    ("ts", "TO_DATE({})"),
    ("ts", "TRY_CAST({}::VARCHAR AS TIMESTAMP_NTZ)"),
    ("n", "{} / 3"),
    ("n", "3 / {}"),
    ("n", "ROUND({} / 3)"),
    ("n", "ABS(COALESCE({}, 1))"),
    ("n", "ROUND(IFF({} > 1, '1', '2'), 1)"),
    ("n", "WIDTH_BUCKET({}, 0, 10, 5)"),
    ("x", "{}::INT::FLOAT"),
    ("s", "{}::VARCHAR(20)"),
    ("s", "REGEXP_REPLACE({}, 'a', 'b', 1, 2)"),
    ("s", "TO_VARCHAR({})"),
    ("v", "TO_VARIANT(AS_VARCHAR({}))"),
    ("v", "TO_VARIANT(TYPEOF({}))"),
    ("o", "OBJECT_INSERT({}, 'a', 1, TRUE)"),
    ("a", "ARRAY_SORT({})"),
    ("a", "STRTOK_TO_ARRAY(ARRAY_TO_STRING({}, ','), ',')"),
    ("a", "ARRAY_INSERT({}, 0, 1)"),
    ("b", "{}::VARCHAR::BINARY"),
]


@pytest.fixture(scope="module")
def plan_size() -> Iterator[Callable[[str], int]]:
    """The size of DuckDB's plan of a query's one column, before it is optimized."""
    account, runner = assemble(
        "LOCAL",
        Users({}),
        database="SNOWSAGE",
        address=("127.0.0.1", 1),
        aws_endpoint_url="http://127.0.0.1:1",
        concurrency=1,
        limits=Limits(),
        observe=lambda _statement, _failure: None,
    )
    session = Session(account, "SERVICE", "ACCOUNTADMIN", OWN)
    session.use("SNOWSAGE", "PUBLIC")
    runner.run(session, f"CREATE TABLE t {_COLUMNS}", query_id="create")

    def measure(expression: str) -> int:
        query = text_literal(runner.query_sql(session, f"SELECT {expression} AS z FROM t"))
        ((plan,),) = session.duck.rows(f"SELECT json_serialize_plan({query})::VARCHAR")
        assert plan.startswith('{"error":false'), plan[:300]
        return len(plan)

    yield measure
    transaction.close(session)
    account.close()


@pytest.mark.parametrize(("column", "call"), _CALLS)
def test_each_nested_call_adds_the_same(plan_size: Callable[[str], int], column: str, call: str) -> None:
    sizes, nested = [], column
    for _ in range(3):
        nested = call.format(nested)
        sizes.append(plan_size(nested))
    assert sizes[0] > 1000
    # A repeated operand would at least double what the call adds.
    assert sizes[2] - sizes[1] < 1.6 * max(sizes[1] - sizes[0], sizes[0]), sizes


@pytest.mark.parametrize("name", sorted(macros.COMPUTED_ONCE - {"_ntz"}))
def test_a_macro_around_a_macro_computes_its_operand_once(name: str) -> None:
    inner = exp.Anonymous(this=name, expressions=[exp.column("c")])
    outer = macros.finish(exp.Anonymous(this=name, expressions=[inner]))
    assert outer.sql("duckdb").lower() == f"memory.main.{name}_once(memory.main.{name}(c))"


@pytest.mark.parametrize("name", ["_ntz", "_ltz"])
def test_the_timestamp_of_a_timestamp_is_a_cast(name: str) -> None:
    inner = exp.Anonymous(this=name, expressions=[exp.column("c")])
    outer = macros.finish(exp.Anonymous(this="_ntz", expressions=[exp.Paren(this=inner)]))
    assert outer.sql("duckdb").lower() == f"memory.main._ntz_of_moment((memory.main.{name}(c)))"


def test_a_macro_around_a_subquery_computes_it_once() -> None:
    call = macros.finish(exp.Anonymous(this="_ltz", expressions=[parse_one("(SELECT MAX(a) FROM t)")]))
    assert call.sql("duckdb").lower().startswith("memory.main._ltz_once((select")


def test_plain_operands_are_not_bound_because_duckdb_optimizes_them() -> None:
    call = macros.finish(exp.Anonymous(this="_ltz", expressions=[parse_one("a + 1")]))
    assert call.sql("duckdb").lower() == "memory.main._ltz(a + 1)"
