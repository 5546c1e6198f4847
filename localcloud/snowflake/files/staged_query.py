"""Queries over staged files: ``SELECT $1, METADATA$FILENAME FROM @stage/path (FILE_FORMAT => f) t``.

Each stage in the query becomes a view over its files, and each ``$1`` a column of that view. The view and the local
copies of the files exist only while the statement runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.files.readers import parquet_names, relation
from localcloud.snowflake.files.staged_files import StagedFile, fetch
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format, resolved
from localcloud.snowflake.objects.stages.locations import resolve_location
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.names import local_table
from localcloud.snowflake.sql.syntax import StagePath
from localcloud.snowflake.sql.tokens import TokenStream

_views = itertools.count()


def sources(expression: exp.Expr) -> list[exp.Table]:
    """The stages that a statement reads."""
    return [table for table in expression.find_all(exp.Table) if location_of(table) is not None]


def location_of(table: exp.Table) -> StagePath | None:
    this = table.this
    if not isinstance(this, exp.Var | exp.Literal) or not str(this.name).startswith("@"):
        return None
    quoted = text_literal(this.name)
    return TokenStream(quoted).stage_path()


def rewrite(expression: exp.Expr, session: Session) -> None:
    """Replace each stage with a view over its files. CREATE VIEW over a stage is rejected: the view would outlive the
    local files."""
    found = sources(expression)
    if found and isinstance(expression, exp.Create) and str(expression.args.get("kind")).upper() == "VIEW":
        raise unsupported("views over staged files")
    for table in found:
        location = location_of(table)
        assert location is not None
        file_location = resolve_location(session, location)
        chosen = resolved(session, format_of(table), file_location.file_format)
        pattern = table.args.get("pattern")
        files = [
            fetch(file_location, item, chosen, session.scratch())
            for item in file_location.files(pattern.name if pattern is not None else None)
        ]
        select = table.find_ancestor(exp.Select)
        if select is None:
            raise unsupported("a stage outside SELECT .. FROM")
        _reject_stars(select, chosen)
        view = f"_staged_{next(_views)}"
        names = attach(select, table, view, chosen, _names(files, chosen), variant=True)
        create_view(session, view, files, chosen, names)


def _reject_stars(select: exp.Select, chosen: Format) -> None:
    if any(isinstance(item, exp.Star) for item in select.expressions):
        raise unsupported(f"SELECT * over staged {chosen.type} files; name the columns as $1, $2, ..")


def format_of(table: exp.Table) -> ast.FormatChoice:
    written = table.args.get("format")
    if written is None:
        return None
    text = written.name if isinstance(written, exp.Literal) else written.sql(dialect="snowflake")
    return ast.NamedFormat(TokenStream(text).name())


def _names(files: list[StagedFile], chosen: Format) -> set[str]:
    return {name for file in files for name in parquet_names(file)} if chosen.type == "PARQUET" else set()


def create_view(session: Session, view: str, files: list[StagedFile], chosen: Format, columns: int) -> None:
    """Create a view over all files. Without files, it has the columns and no rows."""
    glue = " UNION ALL BY NAME " if chosen.type == "PARQUET" else " UNION ALL "
    selects = [relation(file, chosen, columns) for file in files]
    if not selects:
        type_ = "VARCHAR" if chosen.type == "CSV" else "JSON"
        listed = [f'CAST(NULL AS {type_}) AS "${number}"' for number in range(1, columns + 1)]
        listed += ["'' AS \"METADATA$FILENAME\"", '0 AS "METADATA$FILE_ROW_NUMBER"']
        selects = [f"SELECT {', '.join(listed)} WHERE false"]
    session.duck.execute(f"CREATE OR REPLACE TEMPORARY VIEW {quoted(view)} AS {glue.join(selects)}")
    session.cleanup.callback(session.drop_view, view)


def attach(select: exp.Select, table: exp.Table, view: str, chosen: Format, names: set[str], *, variant: bool) -> int:
    """Point ``table`` and the ``$n`` columns of its select at the view; return the number of columns used of a CSV
    file.

    ``variant``: show a Parquet column without a cast as a VARIANT, as queries do; a load takes the value itself.
    """
    alias = table.args.get("alias")
    most = 1
    for node, number in list(_numbered(select, table.alias)):
        most = max(most, number)
        column = exp.Column(this=exp.to_identifier(f"${number}", quoted=True), table=_qualifier(node))
        _replace(node, column, chosen, names, variant=variant)
    table.replace(local_table(view, alias))
    return most


def _numbered(select: exp.Select, alias: str) -> Iterator[tuple[exp.Expr, int]]:
    """Every ``$1`` and ``alias.$1`` of this select, without its subqueries, with its number."""
    for node in select.find_all(exp.Parameter):
        if not node.name.isdecimal() or node.find_ancestor(exp.Select) is not select:
            continue
        outer = node.parent if isinstance(node.parent, exp.Column) else node
        if isinstance(outer, exp.Column) and outer.table and outer.table.upper() != alias.upper():
            continue
        yield outer, int(node.name)


def _qualifier(node: exp.Expr) -> exp.Expr | None:
    found = node.args.get("table") if isinstance(node, exp.Column) else None
    return found.copy() if found is not None else None


def _replace(node: exp.Expr, column: exp.Column, chosen: Format, names: set[str], *, variant: bool) -> None:
    parent = node.parent
    if chosen.type != "PARQUET" or not isinstance(parent, exp.JSONExtract) or parent.this is not node:
        node.replace(column)
        return
    path = parent.expression
    keys = path.expressions[1:] if isinstance(path, exp.JSONPath) else []
    if len(keys) != 1 or not isinstance(keys[0], exp.JSONPathKey):
        node.replace(column)
        return
    name = str(keys[0].this)
    if name not in names:
        parent.replace(exp.Null())
        return
    own: exp.Expr = exp.Column(this=exp.to_identifier(f"$1:{name}", quoted=True), table=column.args.get("table"))
    if variant and not isinstance(parent.parent, exp.Cast):
        own = exp.Anonymous(this="TO_JSON", expressions=[own])
    if isinstance(parent.parent, exp.Select) and variant:
        own = exp.alias_(own, parent.sql(dialect="snowflake").upper(), quoted=True)
    parent.replace(own)
