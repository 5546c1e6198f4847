"""CREATE, ALTER and SHOW of policies, and ALTER TABLE and ALTER VIEW that set them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object, unsupported
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.policies.references import MaskingPolicy, Policy, PolicyReferences, RowAccessPolicy
from localcloud.snowflake.objects.policies.syntax import CreatePolicy, Mask, SetMasks, SetRowAccess
from localcloud.snowflake.objects.references import Target
from localcloud.snowflake.objects.store import SchemaObjects, Store
from localcloud.snowflake.result import Result, done
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Alter, Argument, Name, Path

_P = TypeVar("_P", bound=Policy)

COLUMNS: Columns = [
    ("created_on", "timestamp_ltz"),
    *[(name, "text") for name in ("name", "database_name", "schema_name", "kind", "owner", "comment")],
    *[(name, "text") for name in ("owner_role_type", "options")],
]
DESCRIBED: Columns = [(name, "text") for name in ("name", "signature", "return_type", "body")]

#: The types of an argument that take a column of one of DuckDB's types, by the start of its name.
_FITTING = {
    **dict.fromkeys(("VARCHAR",), ("VARCHAR",)),
    **dict.fromkeys(("DECIMAL", "BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT"), ("NUMBER",)),
    **dict.fromkeys(("DOUBLE", "FLOAT"), ("FLOAT",)),
    "BOOLEAN": ("BOOLEAN",),
    "DATE": ("DATE",),
    "TIMESTAMP WITH TIME ZONE": ("TIMESTAMP_LTZ", "TIMESTAMP_TZ"),
    "TIMESTAMP": ("TIMESTAMP_NTZ",),
    "TIME": ("TIME",),
    "BLOB": ("BINARY",),
    "JSON": ("VARIANT", "OBJECT", "ARRAY"),
}


def maker(kind: type[_P]) -> Callable[[Session, CreatePolicy, Path, Runner], _P]:
    """What makes a policy of a CREATE statement. Raises for a body that is no expression over the arguments."""

    def make(session: Session, statement: CreatePolicy, path: Path, _runner: Runner) -> _P:
        if statement.or_replace:
            _refuse_used(session, path)
        if kind is RowAccessPolicy and statement.returns.name != "BOOLEAN":
            raise compilation(1008, "22023", "a row access policy returns BOOLEAN")
        if kind is MaskingPolicy and statement.returns.name != statement.arguments[0].type.name:
            raise compilation(1008, "22023", "a masking policy returns the type of its first argument")
        check_body(statement.body, statement.arguments)
        return kind(
            path=path,
            owner=session.role,
            created=session.account.clock.now(),
            comment=statement.comment or "",
            arguments=statement.arguments,
            returns=statement.returns,
            body=statement.body,
        )

    return make


def check_body(body: str, arguments: tuple[Argument, ...]) -> None:
    """Raise 904 for a column that is no argument; the columns of subqueries are checked when the policy is applied."""
    known = {one.name for one in arguments}
    for column in parsing.parse(f"SELECT {body}").find_all(exp.Column):
        query = column.find_ancestor(exp.Query)
        if query is not None and query.parent is None and stored(column.this) not in known:
            raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{stored(column.this)}'")


def _refuse_used(session: Session, path: Path) -> None:
    for policy in _policies(session):
        if policy.path == path:
            drop_check(session, policy)


def _policies(session: Session) -> list[Policy]:
    return [policy for _, policy, _ in session.account.state(PolicyReferences).all()]


def drop_check(session: Session, found: Policy) -> None:
    if session.account.state(PolicyReferences).uses(found):
        raise used(found)


def used(policy: Policy) -> ProgrammingError:
    text = f"Policy {policy.path[2]} cannot be dropped/replaced as it is associated with one or more entities."
    return compilation(3551, "42601", text)


def alter(_session: Session, found: Policy, statement: Alter, _runner: Runner) -> None:
    if "BODY" in statement.options:
        check_body(statement.options["BODY"], found.arguments)
        found.body = statement.options["BODY"]


def row(_session: Session, found: Policy) -> list[Any]:
    database, schema, name = found.path
    return [found.created, name, database, schema, found.kind, found.owner, found.comment, "ROLE", ""]


def described(_session: Session, found: Policy) -> list[list[Any]]:
    return [[found.path[2], found.signature, str(found.returns), found.body]]


def set_masks(session: Session, statement: SetMasks) -> Result:
    path = _target(session, statement.kind, statement.name, if_exists=statement.if_exists)
    if path is None:
        return done()
    types, references = column_types(session, path), session.account.state(PolicyReferences)
    changes = [_mask(session, path, types, mask) for mask in statement.masks]
    transaction.commit_before_ddl(session)
    for mask, policy in zip(statement.masks, changes, strict=True):
        target = Target("COLUMN", (*path, mask.column))
        for old in references.on(target):
            references.set(target, old, None)
        if policy is not None:
            references.set(target, policy, mask.using)
    return done()


def _mask(session: Session, path: Path, types: dict[str, str], mask: Mask) -> MaskingPolicy | None:
    """The policy to set. Raises for columns that do not exist or do not fit, and for a column that is masked already."""
    for column in (mask.column, *mask.using):
        _require_column(types, column)
    if mask.policy is None:
        return None
    policy: MaskingPolicy = _store(session, "MASKING POLICY").require(session.id, session.path(mask.policy))
    if mask.using[:1] != (mask.column,):
        raise compilation(1008, "22023", f"USING begins with the masked column {mask.column}")
    _check_arguments(policy, types, mask.using)
    if session.account.state(PolicyReferences).on(Target("COLUMN", (*path, mask.column))) and not mask.force:
        raise compilation(
            3534,
            "42601",
            f"Specified column already attached to another masking policy. A column cannot be attached to multiple masking "
            f"policies. Please drop the current association in order to attach a new masking policy: {mask.column}.",
        )
    return policy


def set_row_access(session: Session, statement: SetRowAccess) -> Result:
    path = _target(session, statement.kind, statement.name, if_exists=statement.if_exists)
    if path is None:
        return done()
    references, target = session.account.state(PolicyReferences), Target("TABLE", path)
    present = references.on(target)
    store = _store(session, "ROW ACCESS POLICY")
    dropped = [*present] if statement.dropped is None else []
    for name in statement.dropped or ():
        policy = store.require(session.id, session.path(name))
        if policy not in present:
            raise missing_object(".".join(policy.path), "Row access policy")
        dropped.append(policy)
    added = None
    if statement.added is not None:
        name, columns = statement.added
        added = store.require(session.id, session.path(name)), columns
        _check_arguments(added[0], column_types(session, path), columns)
        if set(present) - set(dropped):
            text = f"Object {path[2]} already has a ROW_ACCESS_POLICY. Only one ROW_ACCESS_POLICY is allowed at a time."
            raise compilation(3552, "42601", text)
    transaction.commit_before_ddl(session)
    for policy in dropped:
        references.set(target, policy, None)
    if added is not None:
        references.set(target, *added)
    return done()


def _store(session: Session, word: str) -> Store[Any]:
    stores = session.account.state(SchemaObjects)
    return next(store for kind, store in stores.stores() if kind.word == word)


def _target(session: Session, kind: str, name: Name, *, if_exists: bool) -> Path | None:
    """The table or view; ``None`` for a missing one with IF EXISTS."""
    path = session.path(name)
    if path in session.temporary:
        raise temporary(path)
    if session.account.names.kind(path) == kind:
        return path
    if if_exists:
        return None
    raise missing_object(".".join(path), kind.capitalize())


def temporary(path: Path) -> ProgrammingError:
    return unsupported(f"policies on the temporary table {path[2]}")


def column_types(session: Session, path: Path) -> dict[str, str]:
    """DuckDB's type of each column."""
    found = session.duck.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? "
        "ORDER BY column_index",
        list(path),
    )
    return dict(found.fetchall())


def _require_column(types: dict[str, str], column: str) -> None:
    if column not in types:
        raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{column}'")


def _check_arguments(policy: Policy, types: dict[str, str], columns: tuple[str, ...]) -> None:
    if len(columns) != len(policy.arguments):
        raise compilation(
            1008, "22023", f"policy {policy.path[2]} has {len(policy.arguments)} arguments, not {len(columns)}"
        )
    for argument, column in zip(policy.arguments, columns, strict=True):
        _require_column(types, column)
        fitting = next((fits for start, fits in _FITTING.items() if types[column].startswith(start)), ())
        if argument.type.name not in fitting:
            raise compilation(
                1008,
                "22023",
                f"column {column} does not have the type {argument.type} of the argument {argument.name} of policy "
                f"{policy.path[2]}",
            )


def argument_columns(columns: tuple[str, ...]) -> str | None:
    """As POLICY_REFERENCES writes them: ``[ "A", "B" ]``."""
    return f"[ {', '.join(map(json.dumps, columns))} ]" if columns else None
