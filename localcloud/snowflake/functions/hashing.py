"""Hash functions: HASH and HASH_AGG, whose values differ from Snowflake's, which documents only their properties, and SHA2."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.functions.computed import SHA2


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.HashAgg):
        return _hash_agg(node)
    if isinstance(node, exp.SHA2 | exp.SHA2Digest):
        return _sha2(node)
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "HASH":
        return _hash(node)
    return node


def _sha2(node: exp.Expr) -> exp.Expr:
    """SHA2, SHA2_HEX and SHA2_BINARY of a text or binary; 256 bits by default."""
    bytes_ = exp.Anonymous(this="_digested", expressions=[node.this.copy()])
    digest = exp.Anonymous(this=SHA2, expressions=[bytes_, node.args.get("length") or exp.Literal.number(256)])
    return exp.Anonymous(this="UNHEX", expressions=[digest]) if isinstance(node, exp.SHA2Digest) else digest


def _hash(node: exp.Anonymous) -> exp.Expr:
    """HASH of any number of values, or of ``*``; 64 bits."""
    stars = [item for item in node.expressions if isinstance(item, exp.Star)]
    if any(star.args.get("except_") for star in stars):
        raise unsupported("HASH(* EXCLUDE ..); write the columns")
    given = [exp.Var(this="*COLUMNS(*)") if isinstance(item, exp.Star) else item.copy() for item in node.expressions]
    hashed = exp.Anonymous(this="hash", expressions=given)
    halved = exp.Mod(this=hashed, expression=exp.Literal.number(2**63))
    return exp.cast(halved, "BIGINT", dialect="duckdb")


def _hash_agg(node: exp.HashAgg) -> exp.Expr:
    """The same for the same rows in any order; duplicates count; 0 for no rows; 64 bits."""
    arguments = [node.this, *node.expressions]
    distinct = isinstance(node.this, exp.Distinct)
    if distinct:
        arguments = list(node.this.expressions)
    shown = ", ".join(
        "*COLUMNS(*)" if isinstance(item, exp.Star) else item.sql(dialect="snowflake") for item in arguments
    )
    if any(item.is_star and not isinstance(item, exp.Star) for item in arguments):
        raise unsupported("HASH_AGG(table.*); write HASH_AGG(*) or the columns")
    if any(isinstance(item, exp.Star) for item in arguments):
        inner: exp.Expr = exp.Anonymous(
            this="HASH", expressions=[exp.Var(this=shown) if isinstance(item, exp.Star) else item for item in arguments]
        )
    else:
        inner = exp.Anonymous(this="HASH", expressions=[item.copy() for item in arguments])
    wide: exp.Expr = exp.cast(inner, "HUGEINT", dialect="duckdb")
    total = exp.Anonymous(this="SUM", expressions=[exp.Distinct(expressions=[wide]) if distinct else wide])
    folded = exp.Mod(this=exp.func("COALESCE", total, exp.Literal.number(0)), expression=exp.Literal.number(2**63 - 1))
    return exp.cast(folded, "BIGINT", dialect="duckdb")
