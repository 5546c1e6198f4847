"""The columns that ``CREATE TABLE t (a FLOAT NOT NULL) AS SELECT ..`` declares: types as casts, constraints added at the end."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import NULL_RESULT, compilation
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Name

# The key of the constraints among the facts that a statement carries to its end: by column, in DuckDB's words.
_FACT = "constraints"


def cast(expression: exp.Create) -> None:
    """Apply the declared types of ``CREATE TABLE t (a FLOAT) AS SELECT ..`` as casts of the query's columns.

    NOT NULL and defaults, which DuckDB does not take there, move to the statement's facts.
    """
    schema, query = expression.this, expression.expression
    if not isinstance(schema, exp.Schema) or not isinstance(query, exp.Query):
        return
    columns = [column for column in schema.expressions if isinstance(column, exp.ColumnDef | exp.Identifier)]
    inner = [exp.to_identifier(f"_{index}", quoted=True) for index in range(len(columns))]
    if not any(projection.is_star for projection in query.selects) and len(query.selects) != len(columns):
        raise compilation(2026, "42601", "Invalid column definition list")
    source = exp.Subquery(
        this=query, alias=exp.TableAlias(this=exp.to_identifier("_query", quoted=True), columns=inner)
    )
    expression.set(
        "expression", exp.Select(expressions=[_cast(*pair) for pair in zip(columns, inner, strict=True)]).from_(source)
    )
    expression.set("this", schema.this)
    expression.meta[_FACT] = {
        stored(column.this): kinds
        for column in columns
        if isinstance(column, exp.ColumnDef) and (kinds := list(map(_constraint, _constraints(column))))
    }


def _constraints(column: exp.ColumnDef) -> list[exp.Expr]:
    kinds = [constraint.args.get("kind") for constraint in column.args.get("constraints") or []]
    known = [kind for kind in kinds if isinstance(kind, exp.NotNullColumnConstraint | exp.DefaultColumnConstraint)]
    return [kind for kind in known if not kind.args.get("allow_null")]


def _constraint(kind: exp.Expr) -> str:
    return f"DEFAULT {kind.this.sql(dialect='duckdb')}" if isinstance(kind, exp.DefaultColumnConstraint) else "NOT NULL"


def required(expression: exp.Create) -> list[str]:
    """The columns that a prepared CREATE TABLE AS declares as NOT NULL."""
    return [column for column, kinds in expression.meta.get(_FACT, {}).items() if "NOT NULL" in kinds]


def constrain(session: Session, expression: exp.Create, name: Name) -> None:
    """Give the columns of the new table ``name`` the constraints that CREATE TABLE AS declares."""
    local = name.name in session.temporary.values()
    table = quoted("temp", "main", name.name) if local else quoted(*session.path(name))
    for column, kinds in expression.meta.get(_FACT, {}).items():
        for kind in kinds:
            session.duck.execute(f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} SET {kind}")


def _cast(column: exp.Expr, inner: exp.Identifier) -> exp.Expr:
    value: exp.Expr = exp.Column(this=inner.copy())
    if isinstance(column, exp.ColumnDef) and column.kind is not None:
        value = exp.Cast(this=value, to=column.kind.copy())
    if isinstance(column, exp.ColumnDef) and any(
        isinstance(kind, exp.NotNullColumnConstraint) for kind in _constraints(column)
    ):
        missing = exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(NULL_RESULT)])
        present = exp.Column(this=inner.copy()).is_(exp.null()).not_()
        value = exp.Case(ifs=[exp.If(this=present, true=value)], default=missing)
    name = column.this if isinstance(column, exp.ColumnDef) else column
    return exp.Alias(this=value, alias=name.copy())
