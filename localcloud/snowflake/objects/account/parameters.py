"""Session parameters: their types, defaults and supported values, and ALTER SESSION and SHOW PARAMETERS.

The table lists the parameters that clients set and that Snowflake documents for sessions. A parameter that would change
results, and whose other values are not implemented, accepts its default only. The others take effect, or are stored for
the client. An account and a user may have any value as a default; a session to which an unsupported one applies is refused until
it sets another. TIMEZONE defaults to UTC; a new Snowflake account has America/Los_Angeles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.result import SCL, SHOW, Result, done, rows_result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import SEARCH_PATH, Session
from localcloud.snowflake.sql.identifiers import like_pattern
from localcloud.snowflake.sql.time_zones import is_time_zone
from localcloud.snowflake.sql.tokens import OptionParser, TokenStream, boolean_option, integer_option, word_option

Value = str | int | bool

_SCHEMA = r'(?:\$current|\$public|(?:(?:"(?:[^"]|"")+"|[a-z_][\w$]*)\.)?(?:"(?:[^"]|"")+"|[a-z_][\w$]*))'
_SEARCH_PATH = re.compile(rf"\s*{_SCHEMA}\s*(?:,\s*{_SCHEMA}\s*)*", re.IGNORECASE)

COLUMNS: Columns = [(name, "text") for name in ("key", "value", "default", "level", "description", "type")]


@dataclass(frozen=True)
class Parameter:
    """``allowed`` lists the supported values in addition to the default; ``None`` allows all values of the type."""

    type: Literal["STRING", "NUMBER", "BOOLEAN"]
    default: Value
    allowed: tuple[Value, ...] | None = None
    most: int = 2**31


def _flag(default: bool, *allowed: bool) -> Parameter:
    return Parameter("BOOLEAN", default, allowed or None)


def _text(default: str, *allowed: str) -> Parameter:
    return Parameter("STRING", default, allowed or None)


PARAMETERS: dict[str, Parameter] = {
    "ABORT_DETACHED_QUERY": _flag(False),
    "AUTOCOMMIT": _flag(True),
    "BINARY_INPUT_FORMAT": _text("HEX", "HEX"),
    "BINARY_OUTPUT_FORMAT": _text("HEX", "HEX"),
    "CLIENT_MEMORY_LIMIT": Parameter("NUMBER", 1536),
    "CLIENT_METADATA_REQUEST_USE_CONNECTION_CTX": _flag(False),
    "CLIENT_PREFETCH_THREADS": Parameter("NUMBER", 4, most=10),
    "CLIENT_RESULT_CHUNK_SIZE": Parameter("NUMBER", 160),
    "CLIENT_RESULT_COLUMN_CASE_INSENSITIVE": _flag(False),
    "CLIENT_SESSION_KEEP_ALIVE": _flag(False),
    "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": Parameter("NUMBER", 3600, most=3600),
    "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": Parameter("NUMBER", 65_280),
    "CLIENT_TELEMETRY_ENABLED": _flag(True),
    "CLIENT_TIMESTAMP_TYPE_MAPPING": _text("TIMESTAMP_LTZ"),
    "DATE_INPUT_FORMAT": _text("AUTO", "AUTO"),
    "DATE_OUTPUT_FORMAT": _text("YYYY-MM-DD"),
    "ENABLE_UNLOAD_PHYSICAL_TYPE_OPTIMIZATION": _flag(True),
    "ERROR_ON_NONDETERMINISTIC_MERGE": _flag(True),
    "ERROR_ON_NONDETERMINISTIC_UPDATE": _flag(False, False),
    "GEOGRAPHY_OUTPUT_FORMAT": _text("GeoJSON"),
    "GEOMETRY_OUTPUT_FORMAT": _text("GeoJSON"),
    "JDBC_QUERY_RESULT_FORMAT": _text("ARROW"),
    "JSON_INDENT": Parameter("NUMBER", 2, most=16),
    "LOCK_TIMEOUT": Parameter("NUMBER", 43_200),
    "LOG_LEVEL": _text("OFF", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"),
    "METRIC_LEVEL": _text("NONE"),
    "MULTI_STATEMENT_COUNT": Parameter("NUMBER", 1),
    "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": _text("ARROW", "ARROW", "ARROW_FORCE", "JSON"),
    "QUERY_RESULT_FORMAT": _text("ARROW", "ARROW", "ARROW_FORCE", "JSON"),
    "QUERY_TAG": _text(""),
    "QUOTED_IDENTIFIERS_IGNORE_CASE": _flag(False, False),
    "ROWS_PER_RESULTSET": Parameter("NUMBER", 0, (0,)),
    "SEARCH_PATH": _text(SEARCH_PATH),
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": Parameter("NUMBER", 0),
    "STATEMENT_TIMEOUT_IN_SECONDS": Parameter("NUMBER", 172_800, most=604_800),
    "STRICT_JSON_OUTPUT": _flag(False, False),
    "TIMESTAMP_DAY_IS_ALWAYS_24H": _flag(False, False),
    "TIMESTAMP_INPUT_FORMAT": _text("AUTO", "AUTO"),
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": _text(""),
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": _text("YYYY-MM-DD HH24:MI:SS.FF3"),
    "TIMESTAMP_OUTPUT_FORMAT": _text("YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM"),
    "TIMESTAMP_TYPE_MAPPING": _text("TIMESTAMP_NTZ", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"),
    "TIMESTAMP_TZ_OUTPUT_FORMAT": _text(""),
    "TIMEZONE": _text("Etc/UTC"),
    "TIME_INPUT_FORMAT": _text("AUTO", "AUTO"),
    "TIME_OUTPUT_FORMAT": _text("HH24:MI:SS"),
    "TRACE_LEVEL": _text("OFF"),
    "TRANSACTION_ABORT_ON_ERROR": _flag(False, False),
    "TRANSACTION_DEFAULT_ISOLATION_LEVEL": _text("READ COMMITTED", "READ COMMITTED"),
    "TWO_DIGIT_CENTURY_START": Parameter("NUMBER", 1970, (1970,)),
    "UNSUPPORTED_DDL_ACTION": _text("ignore", "IGNORE"),
    "USE_CACHED_RESULT": _flag(True),
    "WEEK_OF_YEAR_POLICY": Parameter("NUMBER", 0, (0,), 1),
    "WEEK_START": Parameter("NUMBER", 0, (0, 1), 7),
}


def alter_session(stream: TokenStream) -> ast.AlterSession:
    stream.expect("ALTER", "SESSION")
    return ast.AlterSession(_changes(stream))


def alter_account(stream: TokenStream) -> ast.AlterAccount:
    stream.expect("ALTER", "ACCOUNT")
    return ast.AlterAccount(_changes(stream))


def _changes(stream: TokenStream) -> tuple[tuple[str, Value | None], ...]:
    if stream.accept("SET"):
        return tuple(stream.options(OPTIONS).items())
    stream.expect("UNSET")
    names = [stream.identifier()]
    while stream.accept(","):
        names.append(stream.identifier())
    for name in names:
        if name not in PARAMETERS:
            raise compilation(1420, "22023", f"invalid parameter '{name}'")
    return tuple((name, None) for name in names)


def show_parameters(stream: TokenStream) -> ast.ShowParameters:
    stream.expect("SHOW", "PARAMETERS")
    like = stream.string() if stream.accept("LIKE") else None
    of_account = False
    if stream.accept("IN") or stream.accept("FOR"):
        of_account = stream.accept("ACCOUNT")
        if not of_account and not stream.accept("SESSION"):
            raise unsupported(f"SHOW PARAMETERS IN {stream.words(1)[0]}, only IN SESSION and IN ACCOUNT")
    return ast.ShowParameters(like, of_account)


def set_parameters(session: Session, statement: ast.AlterSession) -> Result:
    """Apply ALTER SESSION, either completely or not at all."""
    for name, value in statement.parameters:
        if value is not None:
            _check(name, value)
    if "AUTOCOMMIT" in dict(statement.parameters):
        transaction.end(session, commit=True)
    change(session.parameters.maps[0], dict(statement.parameters))
    return done(SCL)


def set_account_parameters(session: Session, statement: ast.AlterAccount) -> Result:
    change(session.account.parameters, dict(statement.parameters))
    for name in ("AUTOCOMMIT", "TIMEZONE"):
        session.account.parameters.setdefault(name, PARAMETERS[name].default)
    return done()


def change(parameters: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Set the values, and remove those that are ``None``. Raises for a time zone that does not exist, and a search path that is
    no list of schemas."""
    if (zone := changes.get("TIMEZONE")) is not None and not is_time_zone(zone):
        raise compilation(1423, "22023", f"invalid value [{zone}] for parameter 'TIMEZONE'")
    if (path := changes.get("SEARCH_PATH")) is not None and not _SEARCH_PATH.fullmatch(path):
        raise compilation(1423, "22023", f"invalid value [{path}] for parameter 'SEARCH_PATH'")
    for name, value in changes.items():
        if value is None:
            parameters.pop(name, None)
        else:
            parameters[name] = value


def set_at_login(session: Session, given: Mapping[str, Any]) -> None:
    """The session parameters of a client's login. Those that the table does not have are for the client."""
    named = {name.upper(): value for name, value in given.items()}
    change(session.parameters.maps[0], {name: _typed(name, value) for name, value in named.items()})


def _typed(name: str, value: Any) -> Any:
    parameter = PARAMETERS.get(name)
    if parameter is None or not isinstance(value, str):
        return value
    if parameter.type == "BOOLEAN" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return int(value) if parameter.type == "NUMBER" and value.isdecimal() else value


def require_supported(session: Session) -> None:
    """Raises if a parameter that would change results has a value that is not implemented, from the account or the user."""
    for defaults in session.parameters.maps:
        for name in defaults:
            if name in PARAMETERS:
                _check(name, session.parameters[name])


def rows(session: Session, statement: ast.ShowParameters) -> Result:
    """The rows of SHOW PARAMETERS: key, value, default, level (empty for a default), description, type."""
    pattern = re.compile(".*" if statement.like is None else like_pattern(statement.like), re.IGNORECASE)
    found: list[list[Any]] = []
    levels: list[tuple[str, Mapping[str, Any]]] = [("ACCOUNT", session.account.parameters)]
    if not statement.of_account:
        levels = list(zip(("SESSION", "USER", "ACCOUNT"), session.parameters.maps, strict=True))
    for name, parameter in PARAMETERS.items():
        if pattern.fullmatch(name):
            level, values = next(((level, values) for level, values in levels if name in values), ("", {}))
            value = values.get(name, parameter.default)
            level = "" if value == parameter.default else level
            found.append([name, _shown(value), _shown(parameter.default), level, "", parameter.type])
    return rows_result(list(COLUMNS), found, SHOW)


def timeout_s(session: Session) -> int | None:
    """The session's statement timeout in seconds, or ``None`` if it sets none. 0 means the maximum."""
    value = session.parameters.get("STATEMENT_TIMEOUT_IN_SECONDS")
    return int(value) or None if value is not None else None


def _check(name: str, value: Value) -> None:
    parameter = PARAMETERS[name]
    allowed = parameter.allowed
    given = value.upper() if isinstance(value, str) else value
    if allowed is None or value == parameter.default or given in allowed:
        return
    raise unsupported(f"{name} = {_shown(value)}, only {' and '.join(map(_shown, allowed))}")


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(parameter: Parameter) -> OptionParser:
    """DEFAULT unsets the parameter."""
    parse = _value_option(parameter)
    return lambda stream, name: None if stream.accept("DEFAULT") else parse(stream, name)


def _value_option(parameter: Parameter) -> OptionParser:
    if parameter.type == "BOOLEAN":
        return boolean_option
    return _text_or_word if parameter.type == "STRING" else integer_option(0, parameter.most)


def _text_or_word(stream: TokenStream, name: str) -> str:
    """A quoted text, or a bare word."""
    text = stream.literal()
    return word_option(stream, name) if text is None else text


OPTIONS = {name: _option(parameter) for name, parameter in PARAMETERS.items()}
