"""An account that is saved when the server stops, and restored by the next server on the same folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.server import SnowflakeServer

Ask = Callable[[str], list[tuple[Any, ...]]]

DEFINED = """
CREATE SCHEMA RAW;
CREATE TABLE RAW.ORDERS (ID NUMBER AUTOINCREMENT, AMOUNT NUMBER(10, 2) DEFAULT 1.5, NOTE VARCHAR(20), BODY OBJECT,
    AT TIMESTAMP_NTZ);
COMMENT ON TABLE RAW.ORDERS IS 'what was bought';
INSERT INTO RAW.ORDERS (AMOUNT, NOTE, BODY, AT) SELECT 2.5, 'a', OBJECT_CONSTRUCT('k', 1), '2024-01-01 10:00:00';
INSERT INTO RAW.ORDERS (NOTE) VALUES ('b');
CREATE VIEW RAW.BIG AS SELECT * FROM RAW.ORDERS WHERE AMOUNT > 2;
CREATE SEQUENCE RAW.NUMBERS START 10 INCREMENT 5;
SELECT RAW.NUMBERS.NEXTVAL;
CREATE FILE FORMAT RAW.LINES TYPE = CSV SKIP_HEADER = 1;
CREATE STAGE RAW.FILES FILE_FORMAT = (FORMAT_NAME = RAW.LINES);
CREATE FUNCTION RAW.TWICE(X FLOAT) RETURNS FLOAT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f'
    AS $$def f(x): return 2 * x$$;
CREATE STREAM RAW.CHANGES ON TABLE RAW.ORDERS;
CREATE TASK RAW.NIGHTLY SCHEDULE = '60 MINUTE' AS INSERT INTO RAW.ORDERS (NOTE) VALUES ('task');
CREATE ROLE ANALYST;
GRANT SELECT ON TABLE RAW.ORDERS TO ROLE ANALYST;
CREATE WAREHOUSE SMALL WAREHOUSE_SIZE = XSMALL;
CREATE TABLE RAW."Mixed" ("Id" INT PRIMARY KEY);
CREATE TAG RAW.OWNED_BY;
ALTER TABLE RAW.ORDERS SET TAG RAW.OWNED_BY = 'sales';
ALTER TABLE RAW.ORDERS MODIFY COLUMN NOTE SET TAG RAW.OWNED_BY = 'support';
CREATE TABLE RAW.SECRETS AS SELECT 'Ada' AS NAME, 'EU' AS REGION;
CREATE MASKING POLICY RAW.HIDE AS (V VARCHAR) RETURNS VARCHAR -> '***';
CREATE ROW ACCESS POLICY RAW.EU_ONLY AS (R VARCHAR) RETURNS BOOLEAN -> R = 'EU';
ALTER TABLE RAW.SECRETS MODIFY COLUMN NAME SET MASKING POLICY RAW.HIDE;
ALTER TABLE RAW.SECRETS ADD ROW ACCESS POLICY RAW.EU_ONLY ON (REGION);
ALTER TABLE RAW.ORDERS ADD CONSTRAINT NUMBERED UNIQUE (ID, NOTE);
CREATE SCHEMA GONE;
CREATE SEQUENCE GONE.S;
DROP SCHEMA GONE;
CREATE SCHEMA GONE;
CREATE SEQUENCE RAW.DROPPED;
DROP SEQUENCE RAW.DROPPED;
CREATE TEMPORARY TABLE RAW.PASSING (X INT);
CREATE DATABASE OTHER;
CREATE TABLE OTHER.PUBLIC.T AS SELECT 1 AS X;
CREATE DATABASE DROPPED;
DROP DATABASE DROPPED;
USE DATABASE SHOP
"""


@contextmanager
def running(folder: Path, private_key: rsa.RSAPrivateKey) -> Iterator[Ask]:
    """A server on ``folder``, and a session of it."""
    public = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    server = SnowflakeServer(
        aws_endpoint_url="http://127.0.0.1:1", public_keys={"TESTER": public.decode()}, database="SHOP", saved=folder
    )
    server.start()
    try:
        connection = snowflake.connector.connect(
            account="LOCAL", user="TESTER", private_key=private_key, host="127.0.0.1", port=server.port, protocol="http",
            database="SHOP", authenticator="SNOWFLAKE_JWT",
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            yield lambda sql: cursor.execute(sql).fetchall()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory, private_key: rsa.RSAPrivateKey) -> Iterator[Ask]:
    """A session of a server that restored what another saved. Saved and restored twice, so that nothing is lost on the way."""
    folder = tmp_path_factory.mktemp("saved") / "snowflake"
    rows = folder.parent / "rows.csv"
    rows.write_text("ID,NOTE\n7,c\n")
    with running(folder, private_key) as ask:
        for statement in DEFINED.split(";\n"):
            ask(statement)
        ask(f"PUT file://{rows} @RAW.FILES")
        ask(f"PUT file://{rows} @~/mine")
        ask("COPY INTO RAW.ORDERS (ID, NOTE) FROM @RAW.FILES")
    with running(folder, private_key) as ask:
        ask("INSERT INTO RAW.ORDERS (NOTE) VALUES ('second')")
    with running(folder, private_key) as ask:
        yield ask


def test_rows_types_defaults_and_comments_are_kept(restarted: Ask) -> None:
    assert restarted("SELECT ID, AMOUNT, NOTE FROM RAW.ORDERS ORDER BY NOTE") == [
        (1, 2.5, "a"), (2, 1.5, "b"), (7, 1.5, "c"), (3, 1.5, "second"),
    ]  # fmt: skip
    assert restarted("SELECT BODY:k::INT, AT FROM RAW.BIG") == [(1, datetime(2024, 1, 1, 10))]
    columns = {row[0]: row[1] for row in restarted("DESCRIBE TABLE RAW.ORDERS")}
    assert (columns["NOTE"], columns["BODY"], columns["AMOUNT"]) == ("VARCHAR(20)", "OBJECT", "NUMBER(10,2)")
    assert "what was bought" in restarted("SHOW TABLES LIKE 'ORDERS' IN SCHEMA RAW")[0]


def test_counters_go_on(restarted: Ask) -> None:
    assert restarted("SELECT RAW.NUMBERS.NEXTVAL") == [(15,)]
    restarted("INSERT INTO RAW.ORDERS (NOTE) VALUES ('next')")
    assert restarted("SELECT ID FROM RAW.ORDERS WHERE NOTE = 'next'") == [(4,)]
    restarted("DELETE FROM RAW.ORDERS WHERE NOTE = 'next'")


def test_functions_streams_tasks_and_formats_are_defined_again(restarted: Ask) -> None:
    assert restarted("SELECT RAW.TWICE(1.5)") == [(3.0,)]
    restarted("INSERT INTO RAW.ORDERS (NOTE) VALUES ('streamed')")
    assert restarted("SELECT NOTE FROM RAW.CHANGES") == [("streamed",)]
    restarted("DELETE FROM RAW.ORDERS WHERE NOTE = 'streamed'")
    for kind in ("TASKS", "FILE FORMATS", "STAGES", "STREAMS"):
        assert len(restarted(f"SHOW {kind} IN SCHEMA RAW")) == 1, kind


def test_files_of_internal_stages_and_the_load_history_are_kept(restarted: Ask) -> None:
    assert [row[0] for row in restarted("LIST @RAW.FILES")] == ["files/rows.csv.gz"]
    assert [row[0] for row in restarted("LIST @~")] == ["mine/rows.csv.gz"]
    assert "0 files processed" in str(restarted("COPY INTO RAW.ORDERS (ID, NOTE) FROM @RAW.FILES"))


def test_roles_grants_and_warehouses_are_kept(restarted: Ask) -> None:
    assert len(restarted("SHOW ROLES LIKE 'ANALYST'")) == 1
    assert any("ORDERS" in str(row) for row in restarted("SHOW GRANTS TO ROLE ANALYST"))
    assert len(restarted("SHOW WAREHOUSES LIKE 'SMALL'")) == 1


def test_what_was_dropped_or_temporary_stays_away(restarted: Ask) -> None:
    assert restarted("SHOW SEQUENCES IN SCHEMA GONE") == []
    assert {row[0] for row in restarted("SHOW SEQUENCES IN SCHEMA RAW")} == {"NUMBERS"}
    with pytest.raises(snowflake.connector.errors.ProgrammingError, match="PASSING"):
        restarted("SELECT * FROM RAW.PASSING")
    databases = {row[1] for row in restarted("SHOW DATABASES")}
    assert {"SHOP", "OTHER"} <= databases
    assert "DROPPED" not in databases
    assert restarted("SELECT X FROM OTHER.PUBLIC.T") == [(1,)]


def test_keys_tags_and_the_case_of_names_are_restored(restarted: Ask) -> None:
    assert [(row[4], row[6]) for row in restarted("SHOW UNIQUE KEYS IN TABLE RAW.ORDERS")] == [
        ("ID", "NUMBERED"),
        ("NOTE", "NUMBERED"),
    ]
    tag = "SYSTEM$GET_TAG('RAW.OWNED_BY', 'RAW.ORDERS{0}', '{1}')"
    asked = ", ".join(tag.format(*at) for at in (("", "TABLE"), (".ID", "COLUMN"), (".NOTE", "COLUMN")))
    assert restarted(f"SELECT {asked}") == [("sales", "sales", "support")]
    assert restarted('SELECT "Id" FROM RAW."Mixed"') == []
    restarted("INSERT INTO RAW.SECRETS VALUES ('Bob', 'US')")
    assert restarted("SELECT NAME, REGION FROM RAW.SECRETS") == [("***", "EU")]
    for wrong in ("SELECT * FROM RAW.MIXED", 'SELECT ID FROM RAW."Mixed"'):
        with pytest.raises(ProgrammingError):
            restarted(wrong)
