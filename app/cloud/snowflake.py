"""Snowflake: the only module that knows its connector, and that translates its and Snowpark's errors.

A connection is found as Snowflake's own tools find it: the connection named by ``SNOWFLAKE_CONNECTION_NAME`` or
``SNOWFLAKE_DEFAULT_CONNECTION_NAME`` in ``connections.toml``, or ``SNOWFLAKE_ACCOUNT`` and related variables in the
environment.

Binds are server-side question marks, so no value becomes part of a statement's text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.cloud.snowpark import SnowparkSession
from app.errors import CallerError, NotFound, PermanentError, SnowsageError, TransientError, Unauthorized
from app.ports import ColumnType, Result, Table
from app.sql import Name, Statement, identifier

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Environment variable -> connector argument, as the Snowflake CLI names them.
_VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_AUTHENTICATOR": "authenticator",
    "SNOWFLAKE_PRIVATE_KEY_FILE": "private_key_file",
    "SNOWFLAKE_PRIVATE_KEY_PATH": "private_key_file",
    "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": "private_key_file_pwd",
    "SNOWFLAKE_TOKEN": "token",
    "SNOWFLAKE_TOKEN_FILE_PATH": "token_file_path",
    "SNOWFLAKE_OAUTH_CLIENT_ID": "oauth_client_id",
    "SNOWFLAKE_OAUTH_CLIENT_SECRET": "oauth_client_secret",
    "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": "oauth_token_request_url",
    "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "workload_identity_provider",
    "SNOWFLAKE_ROLE": "role",
    "SNOWFLAKE_WAREHOUSE": "warehouse",
    "SNOWFLAKE_HOST": "host",
    "SNOWFLAKE_PORT": "port",
    "SNOWFLAKE_PROTOCOL": "protocol",
}

#: Snowflake error numbers: the name does not exist or may not be seen.
_NOT_FOUND = {2003, 2043}
#: ... the credentials are refused.
_REFUSED = {390100, 390101, 390144, 390189, 390195, 390201, 394300, 394304}
#: ... no session was opened, for any reason.
_NOT_CONNECTED = 250001
#: ... the statement may succeed another time: a lock, a cancelled or timed-out query.
_MAY_PASS = {604, 625, 630, 57014}

#: ... the text quotes a row's values, in addition to SQL state class 22, data exceptions.
_SHOWS_VALUES = {100090, 100038, 100035, 100069, 100071}
_VALUE = re.compile(r"'[^']*'|(?<=Row Values: )\[.*\]")

#: Statements that run at the same time: a warehouse of any size runs up to 8 (MAX_CONCURRENCY_LEVEL).
_TOGETHER = 8

#: The column between the columns of two queries that are described together.
_BOUNDARY = "end of query"

#: Connector type codes (snowflake.connector.constants.FIELD_TYPES) by the kinds that the stages distinguish.
_FIXED, _REAL = 0, 1
_KINDS = {
    _FIXED: "number",
    _REAL: "number",
    2: "text",
    3: "time",
    4: "time",
    6: "time",
    7: "time",
    8: "time",
    12: "time",
    13: "boolean",
}
#: The types by their code, as messages name them.
_TYPES = (
    *(
        "NUMBER",
        "FLOAT",
        "TEXT",
        "DATE",
        "TIMESTAMP",
        "VARIANT",
        "TIMESTAMP_LTZ",
        "TIMESTAMP_TZ",
        "TIMESTAMP_NTZ",
        "OBJECT",
    ),
    *("ARRAY", "BINARY", "TIME", "BOOLEAN", "GEOGRAPHY", "GEOMETRY", "VECTOR"),
)


#: Session parameters that the product needs. An account, a user and a connection in connections.toml may set others, so each one
#: that changes what a statement does or answers is set here. Timeouts and locks stay as the account's owner wants them.
SESSION: Mapping[str, str | int | bool] = {
    "QUERY_TAG": "snowsage",
    # Writes are transactions of their own, and COMMIT is sent only after BEGIN.
    "AUTOCOMMIT": True,
    "TRANSACTION_ABORT_ON_ERROR": False,
    "TRANSACTION_DEFAULT_ISOLATION_LEVEL": "READ COMMITTED",
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
    "ERROR_ON_NONDETERMINISTIC_UPDATE": False,
    "MULTI_STATEMENT_COUNT": 1,
    # Moments are TIMESTAMP_NTZ in UTC.
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "TIMESTAMP_DAY_IS_ALWAYS_24H": False,
    "WEEK_START": 0,
    "WEEK_OF_YEAR_POLICY": 0,
    "TWO_DIGIT_CENTURY_START": 1970,
    # Texts are read and written in the default formats.
    **{f"{kind}_INPUT_FORMAT": "AUTO" for kind in ("DATE", "TIME", "TIMESTAMP")},
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
    "TIMESTAMP_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": "",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "",
    "BINARY_INPUT_FORMAT": "HEX",
    "BINARY_OUTPUT_FORMAT": "HEX",
    "JSON_INDENT": 2,
    "STRICT_JSON_OUTPUT": False,
    # Names in quotes are used as they are written, and a result has all its rows.
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ROWS_PER_RESULTSET": 0,
    # Otherwise an unload chooses each file's integer width by that file's values; all files have one schema.
    "ENABLE_UNLOAD_PHYSICAL_TYPE_OPTIMIZATION": False,
}


def connection_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """The connector's arguments. Raises Unauthorized that says what to set if no connection is configured."""
    for variable in ("SNOWFLAKE_CONNECTION_NAME", "SNOWFLAKE_DEFAULT_CONNECTION_NAME"):
        if name := environment.get(variable):
            return {"connection_name": name, **_connections_file(environment)}
    found = {argument: environment[name] for name, argument in _VARIABLES.items() if environment.get(name)}
    if "account" not in found:
        raise Unauthorized(
            "no Snowflake connection is configured; set SNOWFLAKE_CONNECTION_NAME to a connection of connections.toml, or "
            "SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and SNOWFLAKE_PRIVATE_KEY_FILE (or SNOWFLAKE_AUTHENTICATOR for OAuth or "
            "workload identity). `snowsage local up` starts a local one"
        )
    if "private_key_file" in found:
        found.setdefault("authenticator", "SNOWFLAKE_JWT")
    if "authenticator" not in found:
        raise Unauthorized(
            "SNOWFLAKE_ACCOUNT is set without credentials: Snowflake no longer lets services log in by password; set "
            "SNOWFLAKE_PRIVATE_KEY_FILE, or SNOWFLAKE_AUTHENTICATOR to OAUTH, OAUTH_CLIENT_CREDENTIALS or WORKLOAD_IDENTITY"
        )
    return found


def _connections_file(environment: Mapping[str, str]) -> dict[str, Path]:
    """The file in SNOWFLAKE_HOME, passed explicitly: the connector reads that variable only when it is imported."""
    home = environment.get("SNOWFLAKE_HOME")
    path = Path(home).expanduser() / "connections.toml" if home else None
    return {"connections_file_path": path} if path is not None and path.is_file() else {}


class SnowflakeWarehouse:
    """One session; implements ``ports.Warehouse``. Log out by ``close``.

    ``show_values``: errors of ``run`` keep the values that Snowflake quotes; only for statements that the user wrote.
    """

    def __init__(
        self,
        database: str | None,
        environment: Mapping[str, str] = os.environ,
        login_timeout_s: int = 60,
        *,
        show_values: bool = False,
    ) -> None:
        self._show_values = show_values
        self._arguments = {
            **connection_arguments(environment),
            **({"database": database} if database else {}),
            "login_timeout": login_timeout_s,
        }
        self._connection = self._connect()
        self._in_warehouse: dict[str, SnowflakeConnection] = {}
        self._connecting = Lock()
        self._parameters: dict[str, str] = {}
        self._snowpark = SnowparkSession(self._connection)

    def _connect(self) -> SnowflakeConnection:
        import snowflake.connector

        with _translated(), _readable_key():
            return snowflake.connector.connect(
                **self._arguments,
                paramstyle="qmark",
                application="snowsage",
                client_session_keep_alive=True,
                # Arguments of a connection in connections.toml, which these replace, would be sent after the parameters.
                autocommit=True,
                timezone=SESSION["TIMEZONE"],
                numpy=False,
                session_parameters=dict(SESSION),
            )

    def _connected(self, warehouse: str | None) -> SnowflakeConnection:
        """The session of a warehouse. It has one of its own, since USE WAREHOUSE would move the other statements."""
        if warehouse is None:
            return self._connection
        with self._connecting:
            if warehouse not in self._in_warehouse:
                self._in_warehouse[warehouse] = self._use(self._connect(), warehouse)
            return self._in_warehouse[warehouse]

    def _use(self, connection: SnowflakeConnection, warehouse: str) -> SnowflakeConnection:
        try:
            with _translated(), connection.cursor() as cursor:
                cursor.execute(f"USE WAREHOUSE {Name.parse(warehouse).sql}", _statement_params=self._parameters)
        except CallerError as error:
            connection.close()
            raise type(error)(
                f"warehouse {warehouse} cannot be used: {error}; set `warehouse` in pipeline.yaml to one that the role may use"
            ) from error
        return connection

    def tag(self, text: str) -> None:
        self._parameters = {"QUERY_TAG": text}

    def run(self, statement: Statement) -> Table:
        connection = self._connected(statement.warehouse)
        with _translated(show_values=self._show_values), connection.cursor() as cursor:
            return self._execute(cursor, statement)

    def _execute(self, cursor: Any, statement: Statement) -> Table:
        cursor.execute(statement.text, statement.binds or None, _statement_params=self._parameters)
        names = tuple(item.name for item in cursor.description or ())
        return Table(names, cursor.fetchall())

    def run_atomically(self, statements: Sequence[Statement]) -> list[Table]:
        with _translated(), self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                answers = [self._execute(cursor, statement) for statement in statements]
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
        return answers

    def run_together(self, work: Sequence[Callable[[], Result]]) -> list[Result]:
        # The connector's connection may be used by several threads, and Snowflake runs the statements of one session side by side.
        with ThreadPoolExecutor(_TOGETHER) as threads:
            started = [threads.submit(each) for each in work]
        return [each.result() for each in started]

    def run_script(self, text: str) -> None:
        """Run the statements of an SQL file in order."""
        from io import StringIO

        with _translated():
            for cursor in self._connection.execute_stream(StringIO(text), remove_comments=True):
                cursor.close()

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        with _translated(), self._connection.cursor() as cursor:
            return tuple(_column_type(item) for item in cursor.describe(query, _statement_params=self._parameters))

    def describe_all(self, queries: Sequence[str]) -> list[tuple[ColumnType, ...]]:
        if len(queries) < 2:
            return [self.describe(query) for query in queries]
        try:
            described = self.describe(_side_by_side(queries))
            return _between(described, len(queries))
        except CallerError:
            return [self.describe(query) for query in queries]  # the error names the query's own lines

    def compile(self, build: Callable[[Any], Any], described: MutableMapping[str, Any] | None = None) -> str:
        with _translated():
            return self._snowpark.compile(build, {} if described is None else described)

    def close(self) -> None:
        self._snowpark.close()
        for connection in (*self._in_warehouse.values(), self._connection):
            connection.close()


@contextmanager
def _readable_key() -> Iterator[None]:
    """The connector's untranslated errors for a private key or connection file that it cannot use."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise Unauthorized(f"the Snowflake connection's private key cannot be used: {error}") from error


def _side_by_side(queries: Sequence[str]) -> str:
    """One query with the columns of all, a boundary after those of each."""
    selected = ", ".join(f"q{index}.*, NULL AS {identifier(_BOUNDARY)}" for index in range(len(queries)))
    return f"SELECT {selected} FROM " + ", ".join(f"(\n{query}\n) AS q{index}" for index, query in enumerate(queries))


def _between(described: Sequence[ColumnType], count: int) -> list[tuple[ColumnType, ...]]:
    """The columns of each query. Raises CallerError if one of them has the boundary's name itself."""
    ends = [index for index, column in enumerate(described) if column.name == _BOUNDARY]
    if len(ends) != count:
        raise CallerError(f"a query returns a column named {_BOUNDARY}")
    return [tuple(described[start + 1 : end]) for start, end in zip([-1, *ends], ends, strict=False)]


def _column_type(item: Any) -> ColumnType:
    kind = _KINDS.get(item.type_code, "other")
    fractional = item.type_code == _REAL or (item.type_code == _FIXED and bool(item.scale))
    named = _TYPES[item.type_code] if 0 <= item.type_code < len(_TYPES) else ""
    return ColumnType(item.name, kind, whole=not fractional, type=named)  # type: ignore[arg-type]


@contextmanager
def _translated(*, show_values: bool = False) -> Iterator[None]:
    """Translates Snowflake's errors; the product's own errors pass. ``show_values``: keeps the values that they quote."""
    from snowflake.connector import errors

    try:
        yield
    except SnowsageError:
        raise
    except errors.Error as error:
        raise _translate(error, show_values) from error
    except Exception as error:
        if type(error).__module__.startswith("snowflake.connector.vendored."):
            # A response that breaks off is the one fault that the connector neither retries nor translates.
            raise TransientError("The connection to Snowflake broke during a response; try again") from error
        # Snowpark's errors are recognised by their module: importing their class would load all of Snowpark.
        if not type(error).__module__.startswith("snowflake.snowpark"):
            raise
        cause = error.__cause__ or error.__context__
        raise (
            _translate(cause, show_values) if isinstance(cause, errors.Error) else CallerError(_first_line(str(error)))
        ) from error


def _translate(error: Any, show_values: bool = False) -> SnowsageError:
    from snowflake.connector import errors

    number, text = error.errno or -1, _first_line(error.raw_msg or error.msg or str(error))
    if not show_values and ((error.sqlstate or "").startswith("22") or number in _SHOWS_VALUES):
        text = _VALUE.sub("'…'", text)
    down = isinstance(error, errors.OperationalError | errors.ServiceUnavailableError)
    # The connector uses one number for a server that is down and for one that refuses: "failed to connect".
    if number in _REFUSED or isinstance(error, errors.ForbiddenError) or (number == _NOT_CONNECTED and not down):
        return Unauthorized(f"Snowflake refuses the login: {text}. Check user, role and key of the connection")
    if number in _NOT_FOUND:
        return NotFound(f"Snowflake: {text}")
    if number in _MAY_PASS or down:
        return TransientError(f"Snowflake cannot be reached or is busy: {text}")
    if isinstance(error, errors.ProgrammingError | errors.IntegrityError | errors.DataError | errors.NotSupportedError):
        return CallerError(f"Snowflake: {text}")
    if "connection_name" in text:
        return Unauthorized(f"Snowflake: {text}; SNOWFLAKE_CONNECTION_NAME must be one of connections.toml's")
    return PermanentError(f"Snowflake: {text}")


def _first_line(text: str) -> str:
    """Snowflake writes 'SQL compilation error:' on one line and the fault on the next; this puts both on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3])
