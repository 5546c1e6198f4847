"""Policies in queries: each table or view with policies is read through a subquery with its masks and its condition on rows.

What reads rows in another way is refused as long as a policy is set: views over such a table, streams on it, and UPDATE, DELETE
and MERGE of it.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.policies.references import Policy, PolicyReferences
from localcloud.snowflake.objects.policies.statements import column_types, used
from localcloud.snowflake.objects.store import within
from localcloud.snowflake.objects.streams.state import Streams
from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Path

_ALIAS = "_PROTECTED"
_NAME = ("this", "db", "catalog")
_VIEWS = "SELECT database_name, schema_name, view_name, sql FROM duckdb_views() WHERE NOT internal"


def apply(expression: exp.Expr, session: Session) -> None:
    """Put the policies of all tables that the statement reads into it."""
    references = session.account.state(PolicyReferences)
    if references.empty:
        return
    protected = references.protected()
    target = _target(expression)
    views = _Views(session, protected)
    for table in list(expression.find_all(exp.Table)):
        path = path_of(session, table)
        if path is None or _is_expression(table):
            continue
        if table is target or table.find_ancestor(exp.Describe) is not None:
            _check_target(expression, path, protected)
        elif path not in protected:
            views.check(path)
            _check_stream(session, path, protected)
        elif isinstance(expression, exp.Create) and expression.args.get("kind") == "VIEW":
            raise unsupported(f"views over {path[2]}, which has policies")
        elif isinstance(table.parent, exp.From | exp.Join) or table.arg_key == "using":
            views.check(path)
            _protect(session, table, path, references)
        elif isinstance(expression, exp.Create | exp.Query | exp.Insert | exp.Update | exp.Delete | exp.Merge):
            raise unsupported(f"this use of {path[2]}, which has policies")


def _target(expression: exp.Expr) -> exp.Expr | None:
    """The table that the statement writes or defines."""
    if not isinstance(expression, exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.Create | exp.Alter | exp.Drop):
        return None
    written: exp.Expr = expression.this
    return written.this if isinstance(written, exp.Schema) else written


def _check_target(expression: exp.Expr, path: Path, protected: set[Path]) -> None:
    if isinstance(expression, exp.Update | exp.Delete | exp.Merge) and path in protected:
        raise unsupported(f"{expression.key.upper()} of {path[2]}, which has policies")


def check_definition(session: Session, expression: exp.Expr) -> None:
    """Refuse DDL that sets policies, that copies columns with policies by LIKE, that changes columns that a policy uses, and that
    drops a schema or database with a policy that is set outside of it.
    """
    if any(expression.find_all(exp.MaskingPolicyColumnConstraint, exp.RowAccessProperty)):
        raise unsupported(
            "policies in CREATE and ADD COLUMN; write ALTER TABLE .. SET MASKING POLICY or ADD ROW ACCESS POLICY"
        )
    references = session.account.state(PolicyReferences)
    if references.empty:
        return
    if (container := dropped_container(session, expression)) is not None:
        for target, policy, _ in references.all():
            if within(policy.path, container) and target.parts[: len(container)] != container:
                raise used(policy)
    like = expression.find(exp.LikeProperty)
    source = path_of(session, like.this) if like is not None else None
    if source in references.protected():
        raise unsupported(f"LIKE {source[2]}, which has policies")
    if isinstance(expression, exp.Alter) and (path := path_of(session, expression.this)) is not None:
        _check_columns(expression, references.used_columns(path))


def _check_columns(expression: exp.Alter, used: set[str]) -> None:
    for action in expression.args.get("actions") or []:
        if isinstance(action, exp.Drop):
            for column in action.find_all(exp.Identifier):
                if (name := stored(column)) in used:
                    raise compilation(
                        3535, "42601", f"Column '{name}' cannot be dropped because it is used by a policy."
                    )
        elif isinstance(action, exp.AlterColumn) and action.args.get("dtype") is not None:
            changed = action.this if isinstance(action.this, exp.Identifier) else action.this.find(exp.Identifier)
            if changed is not None and stored(changed) in used:
                raise unsupported(f"another type of the column {stored(changed)}, which a policy uses")


def _is_expression(table: exp.Table) -> bool:
    """Whether the name is that of a common table expression, which hides a table of the same name."""
    if table.args.get("db"):
        return False
    name = stored(table.this)
    node: exp.Expr = table
    limited: exp.Expr | None = None
    while node.parent is not None:
        child, node = node, node.parent
        if isinstance(node, exp.With):
            position = next(index for index, item in enumerate(node.expressions) if item is child)
            visible, limited = node.expressions[: position + bool(node.recursive)], node.parent
        elif isinstance(node, exp.Query | exp.Insert | exp.Merge) and node is not limited:
            visible = node.ctes if isinstance(node, exp.Query) else []
        else:
            continue
        if any(stored(item.args["alias"].this) == name for item in visible):
            return True
    return False


def _protect(session: Session, table: exp.Table, path: Path, references: PolicyReferences) -> None:
    inner = exp.Table(**{key: table.args[key] for key in _NAME if table.args.get(key)})
    inner.set("alias", exp.TableAlias(this=exp.to_identifier(_ALIAS, quoted=True)))
    types = column_types(session, path)
    masks = [
        exp.alias_(_cast(_body(*mask), types[column]), column, quoted=True)
        for column, mask in references.masks(path).items()
    ]
    select = exp.Select(expressions=[exp.Star(**({"replace": masks} if masks else {}))]).from_(inner)
    if (rows := references.row_access(path)) is not None:
        select = select.where(_body(*rows))
    rest = {key: value for key, value in table.args.items() if key not in _NAME and value}
    rest.setdefault("alias", exp.TableAlias(this=exp.to_identifier(path[2], quoted=True)))
    table.replace(exp.Subquery(this=select, **rest))


def _cast(value: exp.Expr, duck_type: str) -> exp.Expr:
    """The masked value in the column's type. A VARIANT stays as it is: it has no type that a cast would restore."""
    if duck_type == "JSON":
        return value
    return exp.Cast(this=value, to=exp.DataType.build(duck_type, dialect="duckdb"))


def _body(policy: Policy, columns: tuple[str, ...]) -> exp.Expr:
    """The policy's expression over the columns of the table. Names of tables in it are completed by the policy's schema."""
    values = {argument.name: column for argument, column in zip(policy.arguments, columns, strict=True)}
    tree = parsing.parse(f"SELECT {policy.body}")
    for column in list(tree.find_all(exp.Column)):
        name = stored(column.this)
        if not column.table and name in values:
            column.replace(
                exp.column(exp.to_identifier(values[name], quoted=True), table=exp.to_identifier(_ALIAS, quoted=True))
            )
    for table in tree.find_all(exp.Table):
        for key, part in (("db", policy.path[1]), ("catalog", policy.path[0])):
            if not table.args.get(key):
                table.set(key, exp.to_identifier(part, quoted=True))
    return exp.paren(tree.expressions[0].unalias().copy())


def _check_stream(session: Session, path: Path, protected: set[Path]) -> None:
    stream = session.account.state(Streams).objects.at(path)
    if stream is not None and stream.table.path in protected:
        raise unsupported(f"the stream {path[2]} on a table that has policies")


class _Views:
    """Refuses views that read a table with policies: DuckDB expands a view without them.

    The texts of views are searched for the table's name, so a view may be refused that only uses the same word.
    """

    def __init__(self, session: Session, protected: set[Path]) -> None:
        self._session, self._protected = session, protected
        self._texts: dict[Path, str] | None = None

    def check(self, path: Path) -> None:
        if self._texts is None:
            rows = self._session.duck.execute(_VIEWS).fetchall()
            self._texts = {(database, schema, name): text for database, schema, name, text in rows}
        seen, waiting = {path}, [path]
        while waiting:
            text = self._texts.get(waiting.pop())
            if text is None:
                continue
            for read in self._protected:
                if read != path and _mentions(text, read[2]):
                    raise unsupported(f"the view {path[2]} over {read[2]}, which has policies")
            found = {other for other in self._texts if other not in seen and _mentions(text, other[2])}
            seen |= found
            waiting += found


def _mentions(text: str, name: str) -> bool:
    return (
        quoted(name).upper() in text.upper()
        or re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text, re.I) is not None
    )
