"""Names in double quotes keep their case: ``"Flights"`` is not FLIGHTS. DuckDB ignores case in every lookup.

Names with lower-case letters are rare, so a statement is changed only where two spellings of one name meet in it, or in the tables
that it reads. Objects are compared with the catalog. In queries, each spelling but the one in capitals gets a suffix, in the
columns of the tables too, so that DuckDB itself binds each reference; the suffix is taken off the result and off errors. UPDATE,
DELETE, MERGE and ALTER, whose target DuckDB cannot rename, are checked against the columns of their tables.

Two tables, views, schemas, databases or columns of one table whose names differ only in case are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import SPELLED, invalid_identifier, missing_object, unsupported
from localcloud.snowflake.functions.probes import visible_ctes
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.streams.state import Streams
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored

Names = frozenset[str]

_DEFINES = re.compile(r"\s*(?:CREATE|ALTER)\b", re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_CHANGES = (exp.Update, exp.Delete, exp.Merge)
_INFORMATION_SCHEMA = "INFORMATION_SCHEMA"
# The columns of FLATTEN, which has no table in the catalog.
_FLATTENED = frozenset({"SEQ", "KEY", "PATH", "INDEX", "VALUE", "THIS"})
_VIEW = "SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal AND lower(view_name) = lower(?)"
# DuckDB's own database, where temporary tables are under names of the server's own.
_TEMPORARY = "temp"


class Spellings(State):
    """``folded``: the names with lower-case letters that statements have ever declared, in upper case."""

    def __init__(self) -> None:
        self.folded: set[str] = set()

    def declare(self, names: Iterable[str]) -> None:
        self.folded.update(name.upper() for name in names if name != name.upper())

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        return sorted(self.folded)

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        self.folded.update(saved)


def declare(session: Session, sql: str) -> None:
    """Note the quoted names of a statement that may define objects or columns."""
    if '"' in sql and _DEFINES.match(sql):
        session.account.state(Spellings).declare(name.replace('""', '"') for name in _QUOTED.findall(sql))


def spelled_twice(expression: exp.Expr, session: Session) -> Names:
    """The names, in upper case, of which the statement or the tables that it reads have more than one spelling.

    Raises 2003 for an object whose name is spelled otherwise in the catalog.
    """
    seen: dict[str, set[str]] = {}
    declared, mixed = session.account.state(Spellings).folded, False
    for identifier in expression.find_all(exp.Identifier):
        name = stored(identifier) if isinstance(identifier.this, str) else ""
        folded = name.upper()
        mixed = mixed or name != folded or folded in declared
        seen.setdefault(folded, set()).add(name)
    if not mixed:
        return frozenset()
    check_objects(expression, session)
    if next(expression.find_all(exp.Lateral, exp.TableFromRows, exp.Explode), None) is not None:
        for name in _FLATTENED & seen.keys():
            seen[name].add(name)
    for table in _tables(expression):
        for name in _columns(session, _path(session, table)):
            if name.upper() in seen:
                seen[name.upper()].add(name)
    return frozenset(folded for folded, spellings in seen.items() if len(spellings) > 1)


def check_objects(expression: exp.Expr, session: Session) -> None:
    """Raise 2003 for a table, view, schema or database that exists in another spelling only; refuse to create a second one."""
    declared = session.account.state(Spellings).folded
    made = expression.find(exp.Table) if isinstance(expression, exp.Create) else None
    kind = str(expression.args.get("kind") or "").upper()
    for table in _tables(expression):
        if isinstance(table.parent, exp.AlterRename):
            continue
        container = table.parent is expression and kind in ("SCHEMA", "DATABASE")
        path = _container(session, table, kind) if container else _path(session, table)
        if path[0] == _TEMPORARY or None in path or (len(path) == 3 and path in session.temporary):
            continue
        if not any(name != name.upper() or name in declared for part in table.parts if (name := _spelled(part))):
            continue
        known = _spelling(session, path)
        if known is None and len(path) == 3 and table is not made:
            known = _temporary_view(session, table, path)
        if known is None or known == path or (isinstance(expression, exp.Drop) and expression.args.get("exists")):
            continue
        if table is made and known[:-1] == path[:-1]:
            raise unsupported(_two(path[-1], known[-1]))
        title = kind.capitalize() if isinstance(expression, exp.Drop | exp.Alter | exp.Describe) and kind else "Object"
        raise missing_object(".".join(part for part in path if part), title)
    for action in expression.args.get("actions") or []:
        if isinstance(action, exp.AlterRename):
            _check_new_name(session, action.this)


def _spelling(session: Session, path: tuple[str | None, ...]) -> tuple[str | None, ...] | None:
    """What DuckDB finds under the path, ``None`` for nothing."""
    if len(path) > 1 and str(path[1]).upper() == _INFORMATION_SCHEMA:
        return (path[0], _INFORMATION_SCHEMA, *path[2:])
    return session.account.names.spelling(tuple(map(str, path))) if None not in path else None


def _temporary_view(session: Session, table: exp.Table, path: tuple[str | None, ...]) -> tuple[str | None, ...] | None:
    """The session's temporary view that DuckDB finds under the last part of the path."""
    stores = session.account.state(SchemaObjects).stores()
    if table.args.get("db") or any(store.find(session.id, path) for _, store in stores):  # type: ignore[arg-type]
        return None
    found = [name for (name,) in session.duck.execute(_VIEW, [path[2]]).fetchall()]
    return (*path[:2], found[0]) if found and path[2] not in found else None


def _check_new_name(session: Session, table: exp.Table) -> None:
    path = _path(session, table)
    known = _spelling(session, path)
    if known is not None and known != path:
        raise unsupported(_two(path[-1], known[-1]))


def separate(expression: exp.Expr, names: Names, session: Session, runner: Runner) -> exp.Expr:
    """Let DuckDB tell the spellings of ``names`` apart. The statement is already rewritten, its identifiers are quoted."""
    if not names:
        return expression
    if isinstance(expression, exp.Query):
        _rename(expression, names, session)
    elif isinstance(expression, exp.Create | exp.Insert):
        _check_columns(expression, session)
        if isinstance(expression.expression, exp.Query):
            _rename(expression.expression, names, session)
            if isinstance(expression, exp.Create):
                expression.set("expression", plain(expression.expression, session, runner))
    elif isinstance(expression, _CHANGES):
        _check_change(expression, names, session, runner)
    elif isinstance(expression, exp.Alter):
        _check_alter(expression, session)
    return expression


def plain(query: exp.Query, session: Session, runner: Runner) -> exp.Query:
    """The query with its columns under their own names, for a statement that stores or sends them."""
    if not any(SPELLED.search(str(identifier.this)) for identifier in query.find_all(exp.Identifier)):
        return query
    session.duck.execute(f"SELECT * FROM ({runner.duck_sql(session, query.copy())}) LIMIT 0")
    marked = [name for name, _ in session.duck.types]
    names = [SPELLED.sub("", name) for name in marked]
    for at, name in enumerate(names):
        for other in names[:at]:
            if other != name and other.upper() == name.upper():
                raise unsupported(_two(name, other))
    if marked == names:
        return query
    source = exp.Subquery(this=query, alias=exp.TableAlias(this=_identifier("_spelled")))
    return exp.Select(
        expressions=[
            exp.Alias(this=exp.Column(this=_identifier(old)), alias=_identifier(new))
            for old, new in zip(marked, names, strict=True)
        ]
    ).from_(source)


def shown(result: Result) -> Result:
    """The result with its columns under their own names."""
    if not any(SPELLED.search(name) for name, _ in result.types):
        return result
    types = tuple((SPELLED.sub("", name), type_) for name, type_ in result.types)
    table = result.table.rename_columns([name for name, _ in types])
    return replace(result, table=table, types=types)


def _rename(query: exp.Expr, names: Names, session: Session) -> None:
    """Give each spelling of ``names`` but the one in capitals a suffix, in place."""
    for table in _tables(query):
        columns = [_marked(name, names) for name in _columns(session, _path(session, table))]
        alias = table.args.get("alias")
        renames = any(SPELLED.search(name) for name in columns) and not (alias and alias.columns)
        if not renames and (alias or _marked(table.name, names) == table.name):
            continue
        if alias is None:
            alias = exp.TableAlias(this=_identifier(table.name))
            table.set("alias", alias)
        if renames:
            alias.set("columns", [_identifier(name) for name in columns])
    objects = {id(part) for table in _tables(query) for part in table.parts}
    for identifier in query.find_all(exp.Identifier):
        if id(identifier) not in objects and _is_name(identifier):
            identifier.set("this", _marked(identifier.this, names))


def _is_name(identifier: exp.Identifier) -> bool:
    """Whether it is the name of a column or an alias, or qualifies one."""
    parent = identifier.parent
    if not isinstance(identifier.this, str) or SPELLED.search(identifier.this):
        return False
    if isinstance(parent, exp.PropertyEQ | exp.Kwarg | exp.Dot | exp.ColumnDef | exp.DataType | exp.Property):
        return False
    return not (isinstance(parent, exp.Column) and identifier.arg_key in ("db", "catalog"))


def _marked(name: str, names: Names) -> str:
    if name.upper() not in names or name == name.upper():
        return name
    letters = "".join("1" if letter != letter.upper() else "0" for letter in name)
    return f"{name}\u2060{int(letters, 2):x}"


def _check_columns(expression: exp.Create | exp.Insert, session: Session) -> None:
    """The column list of CREATE TABLE and of INSERT."""
    schema = expression.this
    if not isinstance(schema, exp.Schema) or not isinstance(schema.this, exp.Table):
        return
    listed = [part if isinstance(part, exp.Identifier) else part.this for part in schema.expressions]
    names = [stored(part) for part in listed if isinstance(part, exp.Identifier)]
    if isinstance(expression, exp.Insert):
        _require(names, _columns(session, _path(session, schema.this)))
        return
    for at, name in enumerate(names):
        for other in names[:at]:
            if other != name and other.upper() == name.upper():
                raise unsupported(_two(name, other))


def _check_alter(expression: exp.Alter, session: Session) -> None:
    columns = _columns(session, _path(session, expression.this)) if isinstance(expression.this, exp.Table) else []
    for action in expression.args.get("actions") or []:
        new = action.this if isinstance(action, exp.ColumnDef) else action.args.get("to")
        new = new.this if isinstance(new, exp.Column) else new
        if isinstance(new, exp.Identifier):
            other = next((name for name in columns if name.upper() == stored(new).upper()), None)
            if other is not None and other != stored(new):
                raise unsupported(_two(stored(new), other))
        named = action.args.get("tables") if isinstance(action, exp.Drop) else [action.this]
        if isinstance(action, exp.AlterColumn | exp.RenameColumn | exp.Drop):
            _require([stored(part) for item in named or [] for part in item.find_all(exp.Identifier)], columns)


def _check_change(statement: exp.Expr, names: Names, session: Session, runner: Runner) -> None:
    """UPDATE, DELETE or MERGE: subqueries that are sources are renamed inside, and the other references are checked."""
    sources = [statement.args.get("using"), *(part.this for part in statement.find_all(exp.From, exp.Join))]
    visible: dict[str, list[str]] = {}
    inside: set[int] = set()
    for source in sources:
        if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Query) and id(source) not in inside:
            inside |= {id(node) for node in source.this.walk()}
            _rename(source.this, names, session)
            source.set("this", plain(source.this, session, runner))
            inside |= {id(node) for node in source.this.walk()}
            session.duck.execute(f"SELECT * FROM ({runner.duck_sql(session, source.this.copy())}) LIMIT 0")
            visible[source.alias] = [name for name, _ in session.duck.types]
    for table in _tables(statement):
        if id(table) not in inside:
            visible[table.alias_or_name] = _columns(session, _path(session, table))
    everything = [name for columns in visible.values() for name in columns]
    everything += [alias.alias for alias in statement.find_all(exp.Alias)]
    for column in statement.find_all(exp.Column):
        if id(column) not in inside and column.name.upper() in names:
            _require([column.name], visible.get(column.table, everything))
    written = visible.get(statement.this.alias_or_name, [])
    for then in statement.find_all(exp.Insert, exp.Update):
        listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
        _require([part.name for part in [*listed, *(item.this for item in then.expressions)]], written)


def _require(names: list[str], columns: list[str]) -> None:
    """Raise 904 for a name that only exists in another spelling."""
    folded = {column.upper() for column in columns}
    for name in names:
        if name not in columns and name.upper() in folded:
            raise invalid_identifier(name if name == name.upper() else f'"{name}"')


def _tables(expression: exp.Expr) -> Iterator[exp.Table]:
    """The references to tables, views, schemas and databases; those to common table expressions are none."""
    for table in list(expression.find_all(exp.Table)):
        if isinstance(table.parent, exp.Create | exp.Drop) and table.parent.args.get("kind") == "SCHEMA":
            yield table
            continue
        if not isinstance(table.this, exp.Identifier) or not isinstance(table.this.this, str):
            continue
        if not table.args.get("db"):
            ctes = [cte.args["alias"].this for cte in visible_ctes(table) if isinstance(cte, exp.CTE)]
            if any(SPELLED.sub("", stored(cte)) == stored(table.this) for cte in ctes):
                continue
        yield table


def _spelled(part: exp.Expr) -> str:
    return stored(part) if isinstance(part, exp.Identifier) and isinstance(part.this, str) else ""


def _path(session: Session, table: exp.Table) -> tuple[str | None, ...]:
    parts = [table.args.get("catalog"), table.args.get("db"), table.this]
    names = [stored(part) if isinstance(part, exp.Identifier) else None for part in parts]
    return names[0] or session.database, names[1] or session.schema, names[2]


def _container(session: Session, table: exp.Table, kind: str) -> tuple[str | None, ...]:
    names = [stored(part) for part in table.parts if isinstance(part, exp.Identifier)]
    if kind == "DATABASE":
        return (names[-1],)
    return (names[-2] if len(names) > 1 else session.database, names[-1])


def _columns(session: Session, path: tuple[str | None, ...]) -> list[str]:
    """The columns of a table or view; none where there is no such table, or where fakesnow answers for it."""
    database, schema, name = path if len(path) == 3 else (None, None, None)
    if database is None or schema in (None, _INFORMATION_SCHEMA) or name is None:
        return []
    local = session.temporary.get((database, str(schema), name))
    if local is not None or database == _TEMPORARY:
        session.duck.execute(f"SELECT * FROM {quoted(_TEMPORARY, 'main', local or name)} LIMIT 0")
        return [column for column, _ in session.duck.types]
    found = session.account.names.columns((database, str(schema), name))
    if found is not None:
        return found
    stream = session.account.state(Streams).objects.find(session.id, (database, str(schema), name))
    return [] if stream is None else _columns(session, stream.table.path)


def _identifier(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)


def _two(name: str | None, other: str | None) -> str:
    return f"two names that differ only in case, here {quoted(str(name))} next to {quoted(str(other))}"
