"""Grammar of GRANT, REVOKE and SHOW GRANTS. Privileges and kinds of objects that Snowflake does not document are
rejected."""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream
from localcloud.snowflake.sql.types import sql_types

_PRIVILEGES = (
    *("ALL PRIVILEGES", "ALL", "USAGE", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "OWNERSHIP"),
    *("OPERATE", "MONITOR EXECUTION", "MONITOR USAGE", "MONITOR", "MODIFY", "READ", "WRITE", "REBUILD"),
    *("EXECUTE MANAGED TASK", "EXECUTE TASK", "MANAGE GRANTS", "IMPORTED PRIVILEGES", "APPLYBUDGET"),
    *("CREATE EXTERNAL TABLE", "CREATE TEMPORARY TABLE", "CREATE DYNAMIC TABLE", "CREATE TABLE"),
    *("CREATE MATERIALIZED VIEW", "CREATE VIEW", "CREATE FILE FORMAT", "CREATE STAGE", "CREATE PIPE"),
    *("CREATE STREAM", "CREATE TASK", "CREATE SEQUENCE", "CREATE FUNCTION", "CREATE PROCEDURE", "CREATE SCHEMA"),
    *("CREATE DATABASE", "CREATE WAREHOUSE", "CREATE ROLE", "CREATE USER", "CREATE INTEGRATION", "CREATE TAG"),
    *("CREATE ALERT", "CREATE MODEL", "CREATE SECRET", "CREATE NETWORK RULE"),
)
_KINDS = (
    *("EXTERNAL TABLE", "MATERIALIZED VIEW", "FILE FORMAT", "DYNAMIC TABLE", "TABLE", "VIEW", "SCHEMA", "DATABASE"),
    *("WAREHOUSE", "INTEGRATION", "STAGE", "FUNCTION", "PROCEDURE", "STREAM", "TASK", "SEQUENCE", "PIPE", "ALERT"),
    *("USER", "ROLE", "SECRET", "MODEL"),
)
_PLURALS = tuple("PROCEDURES" if kind == "PROCEDURE" else f"{kind}S" for kind in _KINDS)


def grant(stream: TokenStream) -> Statement:
    stream.expect("GRANT")
    return _grant(stream, revoke_=False)


def revoke(stream: TokenStream) -> Statement:
    stream.expect("REVOKE")
    stream.accept("GRANT", "OPTION", "FOR")
    return _grant(stream, revoke_=True)


def _grant(stream: TokenStream, *, revoke_: bool) -> Statement:
    direction = "FROM" if revoke_ else "TO"
    if stream.accept("ROLE"):
        role = stream.identifier()
        kind, grantee = _grantee(stream, direction)
        return ast.Grant(kind, grantee, role_granted=role, revoke=revoke_)
    privileges = [stream.one_of(*_PRIVILEGES)]
    while stream.accept(","):
        privileges.append(stream.one_of(*_PRIVILEGES))
    stream.expect("ON")
    target = _target(stream)
    kind, grantee = _grantee(stream, direction)
    if kind == "USER":
        raise stream.unexpected()
    option = stream.accept("WITH", "GRANT", "OPTION")
    if revoke_ and not stream.accept("CASCADE"):
        stream.accept("RESTRICT")
    if not revoke_ and (stream.accept("COPY", "CURRENT", "GRANTS") or stream.accept("REVOKE", "CURRENT", "GRANTS")):
        option = False
    return ast.Grant(kind, grantee, tuple(privileges), **target, with_grant_option=option, revoke=revoke_)


def _grantee(stream: TokenStream, direction: str) -> tuple[Any, str]:
    stream.expect(direction)
    kind = "USER" if stream.accept("USER") else "ROLE"
    if kind == "ROLE":
        stream.accept("ROLE")
    return kind, stream.identifier()


def _target(stream: TokenStream) -> dict[str, Any]:
    if stream.accept("ACCOUNT"):
        return {"object_kind": "ACCOUNT"}
    for scope in ("ALL", "FUTURE"):
        if stream.accept(scope):
            kind = stream.one_of(*_PLURALS)
            stream.expect("IN")
            inside = stream.one_of("SCHEMA", "DATABASE")
            return {"object_kind": kind, "object_name": stream.name(), "scope": f"{scope} IN {inside}"}
    kind = stream.one_of(*_KINDS)
    name = stream.name()
    return {"object_kind": kind, "object_name": name, "types": _types(stream, kind)}


def _types(stream: TokenStream, kind: str) -> tuple[str, ...] | None:
    return tuple(type_.name for type_ in sql_types(stream)) if kind in ("FUNCTION", "PROCEDURE") else None


def show_grants(stream: TokenStream) -> Statement:
    stream.expect("SHOW")
    future = stream.accept("FUTURE")
    stream.expect("GRANTS")
    if stream.done and not future:
        return ast.ShowGrants("TO", "USER", None)
    direction: Any = stream.one_of("IN", "TO") if future else stream.one_of("ON", "TO", "OF")
    if direction == "IN":
        return ast.ShowGrants(direction, stream.one_of("SCHEMA", "DATABASE"), stream.name(), future)
    if direction == "ON":
        if stream.accept("ACCOUNT"):
            return ast.ShowGrants(direction, "ACCOUNT", None)
        kind = stream.one_of(*_KINDS)
        name = stream.name()
        return ast.ShowGrants(direction, kind, name, types=_types(stream, kind))
    kind = stream.one_of("ROLE") if direction == "OF" or future else stream.one_of("ROLE", "USER")
    return ast.ShowGrants(direction, kind, stream.name(), future)
