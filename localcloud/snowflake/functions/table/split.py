"""SPLIT_TO_TABLE and STRTOK_SPLIT_TO_TABLE: a text's parts as rows with SEQ, INDEX and VALUE."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation

_MACROS = {"SPLIT_TO_TABLE": "_split_to_rows", "STRTOK_SPLIT_TO_TABLE": "_strtok_to_rows"}
_ROWS = """
    SELECT (hash(text_) >> 1)::BIGINT AS "SEQ", unnest(range(1, len(parts_) + 1)) AS "INDEX", unnest(parts_) AS "VALUE"
    FROM (SELECT s AS text_, {parts} AS parts_)"""
# The definitions of the macros, for CREATE MACRO .. AS TABLE.
TABLE_MACROS = {
    "_split_to_rows(s, d)": _ROWS.format(parts="string_split(s::VARCHAR, d)"),
    "_strtok_to_rows(s, d)": _ROWS.format(parts="_tokens(s, d)"),
}


def rewrite(node: exp.Expr) -> exp.Expr:
    """``TABLE(SPLIT_TO_TABLE(..))`` and ``LATERAL SPLIT_TO_TABLE(..)`` as a call of the macro; anything else as it is."""
    call = node.this if isinstance(node, exp.Lateral | exp.TableFromRows) else None
    if isinstance(call, exp.Window):  # OVER (PARTITION BY ..) changes nothing: each text is split by itself
        call = call.this
    if isinstance(call, exp.SplitToTable):
        name, given = "SPLIT_TO_TABLE", [call.this, call.expression]
    elif isinstance(call, exp.Anonymous) and str(call.this).upper() in _MACROS:
        name, given = str(call.this).upper(), call.expressions
    else:
        return node
    if name == "STRTOK_SPLIT_TO_TABLE" and len(given) == 1:
        given = [*given, exp.Literal.string(" ")]
    if len(given) != 2 or any(value is None for value in given):
        raise compilation(938, "22023", f"error line 1 at position 0\nnot enough arguments for function [{name}]")
    join = node.parent
    if isinstance(join, exp.Join) and join.side and not join.args.get("on"):
        join.set("on", exp.true())
    return source(node, exp.Anonymous(this=_MACROS[name], expressions=list(given)))


def source(node: exp.Expr, macro: exp.Expr) -> exp.Expr:
    """The macro as a source of the query. SEQ numbers the inputs: the only input of a query has 1."""
    alias, select = node.args.get("alias"), node.find_ancestor(exp.Select)
    table = exp.Table(this=macro)
    if (
        not isinstance(node.parent, exp.From)
        or select is None
        or select.args.get("joins")
        or select.args.get("laterals")
    ):
        table.set("alias", alias)
        return table
    seq = exp.alias_(exp.cast(exp.Literal.number(1), "BIGINT"), "SEQ", quoted=True)
    return exp.Subquery(this=exp.select(exp.Star(replace=[seq])).from_(table), alias=alias)
