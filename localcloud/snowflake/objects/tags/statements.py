"""CREATE, ALTER and SHOW TAGS, SET and UNSET TAG, and what other DDL does to the tags of objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.references import Attachments, Target
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.objects.tags.grammar import KINDS, check_length
from localcloud.snowflake.objects.tags.references import Tag, TagReferences
from localcloud.snowflake.objects.tags.syntax import CreateTag, SetTags
from localcloud.snowflake.result import Result, done
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Alter, Creation, Drop, Name, Path
from localcloud.snowflake.sql.tokens import TokenStream

Values = Iterable[tuple[Name, str | None]]
COLUMNS: Columns = [
    ("created_on", "timestamp_ltz"),
    *[(name, "text") for name in ("name", "database_name", "schema_name", "owner", "comment", "allowed_values")],
    *[(name, "text") for name in ("owner_role_type", "propagate", "on_conflict")],
]
_MOST_TAGS = 50
# Kinds whose objects have the domain TABLE.
_TABLES = ("TABLE", "VIEW", "DYNAMIC TABLE", "EVENT TABLE")


def make(session: Session, statement: CreateTag, path: Path, _runner: Runner) -> Tag:
    return Tag(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        allowed=statement.allowed,
    )


def alter(_session: Session, found: Tag, statement: Alter, _runner: Runner) -> None:
    values = statement.options.get("VALUES", ())
    if statement.action == "ADD":
        found.allowed = tuple(dict.fromkeys((*(found.allowed or ()), *values)))
    elif statement.action == "DROP":
        for value in values:
            if value not in (found.allowed or ()):
                raise compilation(1008, "22023", f"'{value}' is not among the allowed values of the tag")
        found.allowed = tuple(value for value in found.allowed or () if value not in values)
    elif statement.action == "UNSET" and "ALLOWED_VALUES" in statement.options:
        found.allowed = None


def row(_session: Session, found: Tag) -> list[Any]:
    database, schema, name = found.path
    allowed = None if found.allowed is None else json.dumps(found.allowed, separators=(",", ":"))
    return [found.created, name, database, schema, found.owner, found.comment, allowed, "ROLE", None, None]


def forget(account: Account, found: Tag) -> None:
    account.state(TagReferences).forget_attached(found)


def set_tags(session: Session, statement: SetTags) -> Result:
    transaction.commit_before_ddl(session)
    target = target_of(session, statement.kind, statement.name)
    if not _exists(session, statement.kind, target):
        if statement.if_exists:
            return done()
        raise missing_object(statement.name.name, statement.kind.capitalize())
    for assignment in statement.assignments:
        place = target
        if assignment.column is not None:
            place = Target("COLUMN", (*target.parts, assignment.column))
            require_column(session, place)
        assign(session, place, checked(session, assignment.tags))
    return done()


def checked(session: Session, values: Values) -> list[tuple[Tag, str | None]]:
    """The tags of these names. Raises 2003 for one that does not exist, and for a value that it does not allow."""
    store, found = session.account.state(TagReferences).tags, []
    for name, value in values:
        tag = store.require(session.id, session.path(name))
        if value is not None:
            check_length(value)
        if value is not None and tag.allowed is not None and value not in tag.allowed:
            text = f"Invalid value '{value}' of tag '{tag.path[2]}'; its allowed values are {', '.join(tag.allowed)}."
            raise compilation(391_801, "0A000", text)
        found.append((tag, value))
    return found


def assign(session: Session, target: Target, values: Iterable[tuple[Tag, str | None]]) -> None:
    references = session.account.state(TagReferences)
    for tag, value in values:
        on = references.on(target)
        if value is not None and tag not in on and len(on) >= _MOST_TAGS:
            raise compilation(391_802, "0A000", f"An object has at most {_MOST_TAGS} tags.")
        references.set(target, tag, value)


def target_of(session: Session, kind: str, name: Name) -> Target:
    if kind in ("WAREHOUSE", "ROLE", "USER", "DATABASE"):
        return Target(kind, (name.name,))
    if kind == "SCHEMA":
        database, schema, _ = session.path(Name("", name.name, name.schema))
        return Target(kind, (database, schema))
    return Target("TABLE" if kind in _TABLES else kind, session.path(name))


def _exists(session: Session, kind: str, target: Target) -> bool:
    names, catalog, parts = session.account.names, session.account.state(Catalog), target.parts
    if kind == "USER":
        return parts[0] in catalog.users
    if kind in ("WAREHOUSE", "ROLE"):
        return parts[0] in (catalog.warehouses if kind == "WAREHOUSE" else catalog.roles)
    if kind == "DATABASE":
        return names.has_database(parts[0])
    if kind == "SCHEMA":
        return names.has_schema(parts[0], parts[1])
    path = (parts[0], parts[1], parts[2])
    if target.domain == "TABLE":
        return path in session.temporary or names.kind(path) is not None
    stores = session.account.state(SchemaObjects).stores()
    return any(store.find(session.id, path) for known, store in stores if known.word == kind)


def require(session: Session, target: Target) -> None:
    """Raise 2003 where the object or column does not exist."""
    if target.domain == "COLUMN":
        require(session, Target("TABLE", target.parts[:3]))
        require_column(session, target)
    elif not _exists(session, target.domain, target):
        raise missing_object(".".join(target.parts), target.domain.capitalize())


def require_column(session: Session, target: Target) -> None:
    if target.parts[3] not in columns_of(session, target.parts[:3]):
        raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{target.parts[3]}'")


def columns_of(session: Session, parts: tuple[str, ...]) -> list[str]:
    local = session.temporary.get((parts[0], parts[1], parts[2]))
    where = ("temp", "main", local) if local is not None else parts
    session.duck.execute(f"SELECT * FROM {quoted(*where)} LIMIT 0")
    return [name for name, _ in session.duck.types]


def followed_statement(session: Session, kind: str, statement: Creation | Drop | Alter) -> Callable[[], None]:
    """The same as ``followed``, for the statements of the server's own grammar."""
    if kind not in KINDS:
        return lambda: None
    target, references = target_of(session, kind, statement.name), Attachments(session.account)
    if isinstance(statement, Drop):
        return lambda: references.forget(target.parts)
    if isinstance(statement, Alter):
        if statement.action != "RENAME TO":
            return lambda: None
        new = target_of(session, kind, statement.options["NAME"])
        return lambda: references.rename({target.parts: new.parts})
    given = checked(session, statement.tags)
    if statement.if_not_exists and _exists(session, kind, target):
        return lambda: None

    def created() -> None:
        references.forget(target.parts)
        assign(session, target, given)

    return created


def followed(session: Session, expression: exp.Expr) -> Callable[[], None]:
    """A function to call after DDL on a table, view, schema or database has run. Tags that CREATE sets are checked before."""
    references = Attachments(session.account)
    kind = str(expression.args.get("kind") or "").upper()
    given = _declared(session, expression) if isinstance(expression, exp.Create) else []
    container = dropped_container(session, expression)
    if kind in ("SCHEMA", "DATABASE"):
        return lambda: _after_container(session, expression, kind, container, given)
    table = expression.find(exp.Table)
    path = path_of(session, table) if table is not None and kind in ("TABLE", "VIEW") else None
    if path is None:
        return lambda: None
    if isinstance(expression, exp.Drop):
        return lambda: references.forget(path)
    if isinstance(expression, exp.Alter):
        return _after_alter(session, expression, path)
    if not isinstance(expression, exp.Create) or (
        expression.args.get("exists") and session.account.names.kind(path) is not None
    ):
        return lambda: None
    source = expression.args.get("clone") or expression.find(exp.LikeProperty)
    origin = path_of(session, source.this) if source is not None else None

    def created() -> None:
        if origin != path:
            references.forget(path)
        if origin is not None:
            references.copy(origin, path)
        for column, values in given:
            target = Target("TABLE", path) if column is None else Target("COLUMN", (*path, column))
            assign(session, target, values)

    return created


def _forget_columns(references: Attachments, path: Path, columns: list[str]) -> None:
    for column in columns:
        references.forget((*path, column))


Given = list[tuple[str | None, list[tuple[Tag, str | None]]]]


def _declared(session: Session, expression: exp.Create) -> Given:
    """The tags that CREATE sets on the object (``None``) and on its columns."""
    found: Given = []
    for tags in expression.find_all(exp.Tags):
        column = tags.find_ancestor(exp.ColumnDef)
        values = [(_tag_name(item), str(item.args["value"].name)) for item in tags.expressions]
        found.append((stored(column.this) if column is not None else None, checked(session, values)))
    return found


def _tag_name(item: exp.Expr) -> Name:
    return TokenStream(item.this.sql(dialect="snowflake")).name()


def _after_container(
    session: Session, expression: exp.Expr, kind: str, dropped: tuple[str, ...] | None, given: Given
) -> None:
    references = Attachments(session.account)
    if dropped is not None:
        references.forget(dropped)
    table = expression.find(exp.Table)
    if not isinstance(expression, exp.Create) or table is None:
        return
    parts = _container(session, kind, table)
    clone = expression.args.get("clone")
    if clone is not None and isinstance(clone.this, exp.Table):
        references.copy(_container(session, kind, clone.this), parts)
    for _, values in given:
        assign(session, Target(kind, parts), values)


def _container(session: Session, kind: str, table: exp.Table) -> tuple[str, ...]:
    parts = tuple(stored(part) for part in table.parts if isinstance(part, exp.Identifier))
    return parts if kind == "DATABASE" or len(parts) == 2 else (session.database or "", *parts)


def _after_alter(session: Session, expression: exp.Alter, path: Path) -> Callable[[], None]:
    references = Attachments(session.account)
    for action in expression.args.get("actions") or []:
        other = path_of(session, action.this) if isinstance(action, exp.AlterRename | exp.SwapTable) else None
        if other is not None:
            return lambda: references.rename({path: other, other: path})
        if isinstance(action, exp.RenameColumn):
            old, new = (stored(action.args[part].find(exp.Identifier)) for part in ("this", "to"))
            return lambda: references.rename({(*path, old): (*path, new)})
        if isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN":
            gone = [stored(item.find(exp.Identifier)) for item in action.args.get("tables") or []]
            return lambda: _forget_columns(references, path, gone)
    return lambda: None
