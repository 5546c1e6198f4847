"""An account saved in a folder when the server stops, and restored from it when it starts again.

Databases are copied as DuckDB files: tables with their rows, views, load history. Objects that DuckDB does not hold are defined
again by the statements that defined them, and features then take back what those statements cannot say (``State.saved``): the
next values of sequences, OBJECT columns. Files of internal stages are copied.

Not kept: sessions, temporary objects, results, the query history, and what streams had recorded: a stream starts again.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import duckdb
from snowflake.connector.errors import ProgrammingError

from localcloud.log import event
from localcloud.snowflake.objects.streams.change_log import HIDDEN_SCHEMA
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.definitions import Defined, Definitions, from_json
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import OWN, Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal

_log = logging.getLogger(__name__)

_STATE, _GLOBAL = "account.json", "_fs_global"
#: fakesnow's tables about tables of all databases: comments and lengths of texts.
_DESCRIPTIONS = ("_fs_tables_ext", "_fs_columns_ext")
_SAVED = "_localcloud_saved"
_OWN = {_GLOBAL, _SAVED, "memory", "system", "temp"}


def save(account: Account, folder: Path) -> None:
    """Write the account to ``folder``. An earlier content is replaced at the end, all at once."""
    written = folder.with_name(f".{folder.name}")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True, mode=0o700)
    duck = account.duck.cursor()
    try:
        databases = [name for (name,) in duck.execute("SELECT database_name FROM duckdb_databases()").fetchall()]
        databases = [name for name in databases if name not in _OWN]
        for number, database in enumerate(databases):
            with_file(duck, written / f"{number}.duckdb", f"COPY FROM DATABASE {quoted(database)} TO {_SAVED}")
        copies = (f"CREATE TABLE {_SAVED}.{name} AS FROM {_GLOBAL}.{HIDDEN_SCHEMA}.{name}" for name in _DESCRIPTIONS)
        with_file(duck, written / "descriptions.duckdb", *copies)
    finally:
        duck.close()
    states = {type(state).__name__: saved for state in account.states() if (saved := state.saved(written)) is not None}
    definitions = account.state(Definitions).to_json()
    body = {"databases": databases, "definitions": definitions, "states": states}
    (written / _STATE).write_text(json.dumps(body, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    written.rename(folder)


def restore(account: Account, runner: Runner, folder: Path) -> list[str]:
    """Restore the account from ``folder``; the names of its databases. Nothing is there: nothing is restored."""
    path = folder / _STATE
    if not path.is_file():
        return []
    body = json.loads(path.read_text())
    duck = account.duck.cursor()
    try:
        for number, database in enumerate(body["databases"]):
            duck.execute(f"ATTACH ':memory:' AS {quoted(database)}")
            with_file(duck, folder / f"{number}.duckdb", f"COPY FROM DATABASE {_SAVED} TO {quoted(database)}")
            _forget_streams(duck, database)
        copies = (
            f"INSERT OR REPLACE INTO {_GLOBAL}.{HIDDEN_SCHEMA}.{name} FROM {_SAVED}.{name}" for name in _DESCRIPTIONS
        )
        with_file(duck, folder / "descriptions.duckdb", *copies)
    finally:
        duck.close()
    for defined in from_json(body["definitions"]):
        _define(account, runner, defined)
    for state in account.states():
        if (saved := body["states"].get(type(state).__name__)) is not None:
            state.restore(saved, folder)
    return list(body["databases"])


def with_file(duck: Any, file: Path, *statements: str) -> None:
    """Run statements while the database in ``file`` is attached."""
    duck.execute(f"ATTACH {text_literal(str(file))} AS {_SAVED}")
    try:
        for statement in statements:
            duck.execute(statement)
    finally:
        duck.execute(f"DETACH {_SAVED}")


def _forget_streams(duck: Any, database: str) -> None:
    """Drop the hidden tables and views of streams, which are made again with the streams."""
    found = duck.execute(
        "SELECT table_type, table_name FROM information_schema.tables WHERE table_catalog = ? AND table_schema = ? "
        "AND table_name LIKE '\\_stream\\_%' ESCAPE '\\' ORDER BY table_type DESC",
        [database, HIDDEN_SCHEMA],
    ).fetchall()
    for kind, name in found:
        word = "VIEW" if kind == "VIEW" else "TABLE"
        duck.execute(f"DROP {word} IF EXISTS {quoted(database)}.{HIDDEN_SCHEMA}.{quoted(name)}")


def _define(account: Account, runner: Runner, defined: Defined) -> None:
    """Run a statement again in its context. An object that cannot be defined any more, such as a stream on a table that was
    dropped, is left out.
    """
    session = Session(account, defined.user, defined.role, OWN)
    try:
        if defined.database is not None:
            session.use(defined.database, defined.schema)
        runner.run_nested(session, defined.sql, None, query_id="restore")
    except (ProgrammingError, duckdb.Error) as error:
        event(_log, logging.INFO, "a saved object is left out", error=type(error).__name__)
    finally:
        transaction.close(session)
