"""Names in sqlglot's syntax trees: object names as Snowflake stores them, and column names of results."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sql.syntax import Name

# The functions of the current time, and the key of a node's ``meta`` under which the parser notes how a node was written.
TIMES = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp)
WRITTEN = "written"


def named(projection: exp.Expr) -> str:
    """The column name of a projection in the result."""
    identifier = projection.this if isinstance(projection, exp.Column) else aliased(projection).args.get("alias")
    return stored(identifier) if isinstance(identifier, exp.Identifier) else projection.alias_or_name.upper()


def aliased(projection: exp.Expr) -> exp.Expr:
    """The projection under the name that Snowflake gives it: its text in upper case, texts and quoted names included."""
    if isinstance(projection, exp.Alias | exp.Aliases | exp.Column | exp.Star | exp.PropertyEQ) or projection.is_star:
        return projection
    text = projection.meta.get(WRITTEN) or projection.sql(dialect="snowflake")
    return exp.alias_(projection, text.upper(), quoted=True, copy=False)


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
