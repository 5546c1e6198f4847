"""Names in sqlglot's syntax trees: object names as Snowflake stores them, and column names of results."""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.sql.syntax import Name

_TEXT_OR_CODE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[^'\"]+", re.DOTALL)


def named(projection: exp.Expr) -> str:
    """The column name of a projection in the result."""
    identifier = projection.this if isinstance(projection, exp.Column) else aliased(projection).args.get("alias")
    return stored(identifier) if isinstance(identifier, exp.Identifier) else projection.alias_or_name.upper()


def aliased(projection: exp.Expr) -> exp.Expr:
    """The projection under the name that Snowflake gives it: its text, in upper case outside of quotes."""
    if isinstance(projection, exp.Alias | exp.Aliases | exp.Column | exp.Star | exp.PropertyEQ) or projection.is_star:
        return projection
    text = projection.sql(dialect="snowflake")
    shown = _TEXT_OR_CODE.sub(lambda part: _upper(part.group()), text)
    return exp.alias_(projection, shown, quoted=True, copy=False)


def _upper(part: str) -> str:
    return part if part.startswith(("'", '"')) else part.upper()


def table_name(table: exp.Table) -> Name:
    """A table's name as Snowflake stores it."""
    parts = [
        stored(part) if isinstance(part, exp.Identifier) else None
        for part in (table.this, table.args.get("db"), table.args.get("catalog"))
    ]
    return Name(parts[0] or "", parts[1], parts[2])


def stored(identifier: exp.Identifier) -> str:
    text: str = identifier.this
    return text if identifier.args.get("quoted") else text.upper()


def local_table(name: str, alias: exp.Expr | None) -> exp.Table:
    """A table or view of DuckDB's temporary schema."""
    parts = {part: exp.to_identifier(word, quoted=True) for part, word in (("db", "main"), ("catalog", "temp"))}
    table = exp.Table(this=exp.to_identifier(name, quoted=True), **parts)
    table.set("alias", alias)
    return table
