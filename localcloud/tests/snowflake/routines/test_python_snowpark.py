"""Functions and procedures registered and called through Snowpark."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.snowpark import Session
from snowflake.snowpark import functions as f
from snowflake.snowpark.exceptions import SnowparkSQLException
from snowflake.snowpark.types import FloatType, IntegerType, PandasSeriesType, StringType, VariantType


@pytest.fixture
def session(snowpark: Session) -> Session:
    return snowpark


@pytest.fixture(autouse=True)
def _closures_by_value() -> Iterator[None]:
    """Pickle functions of a test module by value, like those of a script."""
    import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_a_closure_as_a_function(session: Session) -> None:
    step = 10

    def add(x: int, y: int) -> int:
        return x + y + step

    registered = session.udf.register(add, name="add_ten", return_type=IntegerType(), input_types=[IntegerType()] * 2)
    frame = session.create_dataframe([[1, 2], [3, 4]], schema=["a", "b"])
    assert [row[0] for row in frame.select(registered("a", "b")).collect()] == [13, 17]
    assert frame.select(f.call_udf("add_ten", f.col("a"), f.lit(1))).collect()[0][0] == 12
    assert frame.select(f.call_function("add_ten", f.col("a"), f.col("b")).alias("x")).to_pandas()["X"].tolist() == [
        13,
        17,
    ]


def test_decorators_and_pandas(session: Session) -> None:
    @f.udf(session=session, return_type=VariantType(), input_types=[StringType()])
    def parts(text: str) -> dict[str, list[str]]:
        return {"words": text.split()}

    series = PandasSeriesType(FloatType())
    half = f.pandas_udf(lambda values: values / 2, session=session, return_type=series, input_types=[series])

    frame = session.create_dataframe([["a b", 3.0]], schema=["t", "x"])
    found = frame.select(parts("t")["words"][1].cast("string"), half("x")).collect()[0]
    assert tuple(found) == ("b", 1.5)


def test_large_closures_files_and_imports_come_from_the_stage(session: Session, tmp_path: Path) -> None:
    table = {str(number): "x" * 20 for number in range(1000)}
    look = session.udf.register(
        lambda key: table[key], name="look", return_type=StringType(), input_types=[StringType()]
    )
    assert session.create_dataframe([["7"]], schema=["k"]).select(look("k")).collect()[0][0] == "x" * 20
    (tmp_path / "helper.py").write_text("def triple(x):\n    return 3 * x\n")
    (tmp_path / "main.py").write_text("import helper\n\ndef handler(x: int) -> int:\n    return helper.triple(x) + 1\n")
    session.add_import(str(tmp_path / "helper.py"))
    registered = session.udf.register_from_file(
        str(tmp_path / "main.py"), "handler", return_type=IntegerType(), input_types=[IntegerType()]
    )
    assert session.create_dataframe([[0], [1], [2]], schema=["id"]).select(registered("id")).collect()[2][0] == 7
    session.clear_imports()


def test_only_permanent_functions_outlive_the_session(
    connect: Any, schema: str, session: Session, sql: Callable[..., Any]
) -> None:
    other = Session.builder.configs({"connection": connect(schema=schema)}).create()
    other.sql("CREATE STAGE code").collect()
    for name, permanent in (("kept", True), ("gone", False)):
        other.udf.register(
            lambda x: x + 1,
            name=name,
            return_type=IntegerType(),
            input_types=[IntegerType()],
            is_permanent=permanent,
            stage_location="@code",
            replace=True,
        )
    assert other.sql("SELECT kept(1), gone(1)").collect()[0][:] == (2, 2)
    assert session.sql("SELECT kept(1)").collect()[0][0] == 2
    with pytest.raises(SnowparkSQLException, match="Unknown function GONE"):
        session.sql("SELECT gone(1)").collect()
    assert {row[1] for row in sql(f"SHOW USER FUNCTIONS IN SCHEMA {schema}")} == {"KEPT"}
    other.close()
    assert session.sql("SELECT kept(1)").collect()[0][0] == 2


def test_packages_are_queried_from_the_server(session: Session) -> None:
    registered = session.udf.register(
        lambda: __import__("numpy").ones(2).sum().item(),
        return_type=FloatType(),
        input_types=[],
        packages=["numpy"],
    )
    assert session.create_dataframe([[0]], schema=["id"]).select(registered()).collect()[0][0] == 2.0
    with pytest.raises(RuntimeError, match="not available in Snowflake"):
        session.add_packages("no-such-package-at-all")


@pytest.mark.slow
def test_procedures(session: Session) -> None:
    session.sql("CREATE TABLE t AS SELECT 1 AS n").collect()

    @f.sproc(session=session, packages=["snowflake-snowpark-python"], name="copy_rows")
    def copy_rows(inner: Session, source: str, target: str) -> str:
        inner.table(source).write.save_as_table(target)
        return f"{inner.table(target).count()} rows"

    assert session.call("copy_rows", "t", "u") == "1 rows"
    assert copy_rows("t", "v") == "1 rows"
    assert session.table("v").count() == 1

    @f.sproc(session=session, packages=["snowflake-snowpark-python"], anonymous=True)
    def nothing_stored(inner: Session, n: int) -> int:
        return int(inner.sql(f"SELECT {n} + 1").collect()[0][0])

    assert nothing_stored(1) == 2
