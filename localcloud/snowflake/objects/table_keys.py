"""Primary, unique and foreign keys of tables, which Snowflake keeps and does not enforce, and SHOW .. KEYS."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any, Literal

from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object
from localcloud.snowflake.objects.feature import Columns, Feature
from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.result import SHOW, Result, rows_result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Name, Path, Statement
from localcloud.snowflake.sql.tokens import TokenStream

Kind = Literal["PRIMARY KEY", "UNIQUE", "FOREIGN KEY"]

_TIME = ("created_on", "timestamp_ltz")
_OWN: Columns = [
    _TIME,
    *[(name, "text") for name in ("database_name", "schema_name", "table_name", "column_name")],
    *[("key_sequence", "fixed"), ("constraint_name", "text"), ("rely", "text"), ("comment", "text")],
]
_BETWEEN: Columns = [
    _TIME,
    *[(f"{side}_{part}_name", "text") for side in ("pk", "fk") for part in ("database", "schema", "table", "column")],
    ("key_sequence", "fixed"),
    *[
        (name, "text")
        for name in ("update_rule", "delete_rule", "fk_name", "pk_name", "deferrability", "rely", "comment")
    ],
]


@dataclass(frozen=True)
class Key:
    """``target``, ``target_columns``: what a foreign key refers to."""

    kind: Kind
    name: str
    columns: tuple[str, ...]
    created: datetime
    target: Path | None = None
    target_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShowKeys(Statement):
    """``parts``: the account (empty), database, schema or table to list; ``None`` for the current schema."""

    kind: Literal["PRIMARY", "UNIQUE", "IMPORTED", "EXPORTED"]
    scope: Literal["ACCOUNT", "DATABASE", "SCHEMA", "TABLE"] | None
    name: Name | None


class TableKeys(State):
    """The keys of each permanent table. Thread-safe."""

    def __init__(self) -> None:
        self._keys: dict[Path, tuple[Key, ...]] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> tuple[Key, ...]:
        return self._keys.get(path, ())

    def put(self, path: Path, keys: tuple[Key, ...]) -> None:
        with self._lock:
            self._keys.pop(path, None)
            if keys:
                self._keys[path] = keys

    def all(self) -> Iterator[tuple[Path, Key]]:
        return ((path, key) for path, keys in sorted(self._keys.items()) for key in keys)

    def forget_within(self, container: tuple[str, ...]) -> None:
        for path in [path for path in self._keys if path[: len(container)] == container]:
            self.put(path, ())

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        return [[path, {**asdict(key), "created": key.created.isoformat()}] for path, key in self.all()]

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        for path, key in saved:
            target = tuple(key["target"]) if key["target"] else None
            lists = {name: tuple(key[name]) for name in ("columns", "target_columns")}
            made = Key(**{**key, **lists, "target": target, "created": datetime.fromisoformat(key["created"])})
            self.put(tuple(path), (*self.of(tuple(path)), made))


def declared(session: Session, schema: exp.Expr) -> tuple[Key, ...]:
    """The keys that a column list, or an ADD CONSTRAINT, declares."""
    found = [key for part in schema.expressions for key in _keys_of(session, part, None)]
    if sum(key.kind == "PRIMARY KEY" for key in found) > 1:
        raise compilation(3720, "42000", "A table can have only one primary key.")
    return tuple(found)


def _keys_of(session: Session, part: exp.Expr, name: str | None) -> Iterator[Key]:
    if isinstance(part, exp.Constraint):
        for inner in part.expressions:
            yield from _keys_of(session, inner, stored(part.this))
    elif isinstance(part, exp.ColumnDef):
        for constraint in part.args.get("constraints") or []:
            own = constraint.this
            own = stored(own) if isinstance(own, exp.Identifier) else None
            yield from _column_key(session, constraint.args.get("kind"), stored(part.this), own)
    elif isinstance(part, exp.PrimaryKey):
        yield _key("PRIMARY KEY", name, part.expressions)
    elif isinstance(part, exp.UniqueColumnConstraint) and isinstance(part.this, exp.Expr):
        yield _key("UNIQUE", name, part.this.expressions)
    elif isinstance(part, exp.ForeignKey) and isinstance(part.args.get("reference"), exp.Reference):
        yield _referring(session, part.args["reference"], _key("FOREIGN KEY", name, part.expressions))


def _column_key(session: Session, kind: exp.Expr | None, column: str, name: str | None) -> Iterator[Key]:
    listed = [exp.to_identifier(column, quoted=True)]
    if isinstance(kind, exp.PrimaryKeyColumnConstraint):
        yield _key("PRIMARY KEY", name, listed)
    elif isinstance(kind, exp.UniqueColumnConstraint):
        yield _key("UNIQUE", name, listed)
    elif isinstance(kind, exp.Reference):
        yield _referring(session, kind, _key("FOREIGN KEY", name, listed))


def _key(kind: Kind, name: str | None, columns: list[Any]) -> Key:
    found = [part.find(exp.Identifier) for part in columns]
    names = tuple(stored(part) for part in found if part is not None)
    if len(names) < len(columns):
        raise compilation(1003, "42000", f"syntax error: {kind} takes the names of columns.")
    return Key(kind, name or f"SYS_CONSTRAINT_{uuid.uuid4()}", names, datetime.now(UTC))


def _referring(session: Session, reference: exp.Expr, key: Key) -> Key:
    table = reference.find(exp.Table)
    target = path_of(session, table) if table is not None else None
    if target is None or session.account.names.kind(target) is None:
        raise missing_object(table.name if table is not None else "", "Table")
    listed = reference.this.expressions if isinstance(reference.this, exp.Schema) else []
    columns = tuple(stored(part) for part in listed if isinstance(part, exp.Identifier))
    if not columns:
        primary = next((one for one in session.account.state(TableKeys).of(target) if one.kind == "PRIMARY KEY"), None)
        columns = primary.columns if primary is not None else ()
    return replace(key, target=target, target_columns=columns)


def altered(session: Session, expression: exp.Alter) -> bool:
    """Apply an ALTER TABLE that adds or drops keys; returns whether it was one."""
    actions = expression.args.get("actions") or []
    path = path_of(session, expression.this) if isinstance(expression.this, exp.Table) else None
    if not actions or path is None or not all(map(_is_about_keys, actions)):
        return False
    keys, state = session.account.state(TableKeys).of(path), session.account.state(TableKeys)
    if session.account.names.kind(path) != "TABLE":
        raise missing_object(path[2], "Table")
    for action in actions:
        if isinstance(action, exp.AddConstraint):
            made = declared(session, action)
            _check_new(session, path, keys, made)
            keys = (*keys, *made)
        else:
            dropped = _dropped(action, keys)
            if dropped is None:
                raise missing_object(action.sql(dialect="snowflake").rpartition(" ")[2].strip("()"), "Constraint")
            keys = tuple(key for key in keys if key is not dropped)
    state.put(path, keys)
    return True


def _is_about_keys(action: exp.Expr) -> bool:
    if isinstance(action, exp.Command):
        words = TokenStream(str(action.expression)).words(1) if str(action.this).upper() == "DROP" else ()
        return words in (("PRIMARY",), ("UNIQUE",), ("FOREIGN",), ("CONSTRAINT",))
    return isinstance(action, exp.AddConstraint) or (
        isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "CONSTRAINT"
    )


def _check_new(session: Session, path: Path, keys: tuple[Key, ...], made: tuple[Key, ...]) -> None:
    rows = session.duck.execute(
        "SELECT column_name FROM duckdb_columns() WHERE (database_name, schema_name, table_name) = (?, ?, ?)",
        list(path),
    ).fetchall()
    known = {column for (column,) in rows}
    for key in made:
        for column in key.columns:
            if column not in known:
                raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{column}'")
        if key.kind == "PRIMARY KEY" and any(one.kind == "PRIMARY KEY" for one in keys):
            raise compilation(2, "42601", f"primary key already exists for table '{path[2]}'")
        if any(one.name == key.name for one in keys):
            raise compilation(2002, "42710", f"Constraint '{key.name}' already exists.")


def _dropped(action: exp.Expr, keys: tuple[Key, ...]) -> Key | None:
    if isinstance(action, exp.Drop):
        listed = action.args.get("tables") or []
        name = stored(listed[0].find(exp.Identifier)) if listed else ""
        return next((key for key in keys if key.name == name), None)
    stream = TokenStream(str(action.expression))
    kind: str = stream.one_of("PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "CONSTRAINT")
    if kind == "CONSTRAINT":
        name = stream.identifier()
        return next((key for key in keys if key.name == name), None)
    columns: list[str] = []
    if stream.accept("("):
        columns.append(stream.identifier())
        while stream.accept(","):
            columns.append(stream.identifier())
        stream.expect(")")
    return next((key for key in keys if key.kind == kind and (not columns or key.columns == tuple(columns))), None)


def followed(session: Session, expression: exp.Expr) -> Callable[[], None]:
    """A function to call after DDL on a table, schema or database has run."""
    state = session.account.state(TableKeys)
    if (container := dropped_container(session, expression)) is not None:
        return lambda: state.forget_within(container)
    table = expression.find(exp.Table)
    path = path_of(session, table) if table is not None and expression.args.get("kind") == "TABLE" else None
    if path is None or expression.find(exp.TemporaryProperty):
        return lambda: None
    if isinstance(expression, exp.Drop):
        return lambda: state.put(path, ())
    if isinstance(expression, exp.Alter):
        return _after_alter(session, expression, path)
    if not isinstance(expression, exp.Create) or (
        expression.args.get("exists") and session.account.names.kind(path) is not None
    ):
        return lambda: None
    source = expression.args.get("clone") or expression.find(exp.LikeProperty)
    origin = path_of(session, source.this) if source is not None else None
    schema = expression.this
    made = state.of(origin) if origin is not None else ()
    if isinstance(schema, exp.Schema):
        made = declared(session, schema)
    return lambda: state.put(path, tuple(made))


def _after_alter(session: Session, expression: exp.Alter, path: Path) -> Callable[[], None]:
    state = session.account.state(TableKeys)
    for action in expression.args.get("actions") or []:
        other = path_of(session, action.this) if isinstance(action, exp.AlterRename | exp.SwapTable) else None
        if other is not None and isinstance(action, exp.SwapTable):
            return lambda: _swap(state, path, other)
        if other is not None:
            return lambda: _swap(state, path, other)
        if isinstance(action, exp.RenameColumn):
            old, new = (stored(action.args[part].find(exp.Identifier)) for part in ("this", "to"))
            renamed = tuple(
                replace(key, columns=tuple(new if column == old else column for column in key.columns))
                for key in state.of(path)
            )
            return lambda: state.put(path, renamed)
        if isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN":
            gone = {stored(item.find(exp.Identifier)) for item in action.args.get("tables") or []}
            left = tuple(key for key in state.of(path) if not gone & set(key.columns))
            return lambda: state.put(path, left)
    return lambda: None


def _swap(state: TableKeys, one: Path, other: Path) -> None:
    mine, theirs = state.of(one), state.of(other)
    state.put(one, theirs)
    state.put(other, mine)


def _show_rule(stream: TokenStream) -> Statement:
    stream.expect("SHOW")
    stream.accept("TERSE")
    kind: Any = stream.one_of("PRIMARY", "UNIQUE", "IMPORTED", "EXPORTED")
    stream.expect("KEYS")
    if not stream.accept("IN"):
        return ShowKeys(kind, None, None)
    scope: Any = next((word for word in ("ACCOUNT", "DATABASE", "SCHEMA", "TABLE") if stream.accept(word)), "TABLE")
    return ShowKeys(kind, scope, None if stream.done or scope == "ACCOUNT" else stream.name())


def _container(session: Session, statement: ShowKeys) -> tuple[str, ...]:
    name, scope = statement.name, statement.scope
    if scope == "ACCOUNT" or (session.database is None and name is None):
        return ()
    if scope == "DATABASE":
        return (name.name if name else session.database or "",)
    if scope == "TABLE" and name is not None:
        path = session.path(name)
        if path not in session.temporary and session.account.names.kind(path) is None:
            raise missing_object(path[2], "Table")
        return path
    if name is not None:
        return (name.schema or session.database or "", name.name)
    return tuple(part for part in (session.database, session.schema) if part)


def _shown(session: Session, statement: ShowKeys) -> Result:
    inside = _container(session, statement)
    kinds: dict[str, Kind] = {"PRIMARY": "PRIMARY KEY", "UNIQUE": "UNIQUE"}
    found = list(session.account.state(TableKeys).all())
    if statement.kind in kinds:
        return rows_result(
            list(_OWN),
            [
                [key.created, *path, column, number, key.name, "false", None]
                for path, key in found
                if key.kind == kinds[statement.kind] and path[: len(inside)] == inside
                for number, column in enumerate(key.columns, 1)
            ],
            SHOW,
        )
    rows = []
    for path, key in found:
        at = path if statement.kind == "IMPORTED" else key.target
        if key.target is None or at is None or at[: len(inside)] != inside:
            continue
        primary = _target_name(session, key)
        for number, (column, other) in enumerate(zip(key.columns, key.target_columns, strict=False), 1):
            rules = ["NO ACTION", "NO ACTION", key.name, primary, "NOT DEFERRABLE", "false", None]
            rows.append([key.created, *key.target, other, *path, column, number, *rules])
    return rows_result(list(_BETWEEN), rows, SHOW)


def _target_name(session: Session, key: Key) -> str | None:
    """The name of the key that a foreign key refers to."""
    assert key.target is not None
    keys = session.account.state(TableKeys).of(key.target)
    return next((one.name for one in keys if one.columns == key.target_columns and one.kind != "FOREIGN KEY"), None)


FEATURE = Feature(
    rules={
        ("SHOW", *terse, kind, "KEYS"): _show_rule
        for terse in ((), ("TERSE",))
        for kind in ("PRIMARY", "UNIQUE", "IMPORTED", "EXPORTED")
    },
    handlers={ShowKeys: _shown},
    columns={
        ShowKeys: (lambda statement: _OWN if statement.kind in ("PRIMARY", "UNIQUE") else _BETWEEN, SHOW),
    },
    states=(lambda _account, _runner: TableKeys(),),
)
