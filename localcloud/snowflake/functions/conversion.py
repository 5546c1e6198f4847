"""Conversion functions: casts, TO_BINARY and TO_CHAR with a format."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.sql.date_formats import directives

_TYPES = exp.DataType.Type
_TEXTS = (_TYPES.VARCHAR, _TYPES.TEXT, _TYPES.CHAR, _TYPES.NVARCHAR, _TYPES.NCHAR)


def rewrite_lengths(node: exp.Expr) -> exp.Expr:
    """A cast to VARCHAR(n) fails for a longer text, and TRY_CAST returns NULL; DuckDB ignores the length.

    The cast is kept inside the macro that checks the length: CREATE TABLE AS takes the column's length from it.
    """
    if not isinstance(node, exp.Cast | exp.TryCast):
        return node
    type_ = node.to
    if type_.this not in _TEXTS or len(type_.expressions) != 1:
        return node
    name = "_text_that_fits" if isinstance(node, exp.TryCast) else "_text_within"
    return exp.Anonymous(this=name, expressions=[node.copy(), type_.expressions[0].this.copy()])


def rewrite(node: exp.Expr) -> exp.Expr:
    make = _REWRITES.get(type(node))
    return make(node) if make is not None else node


def _cast(node: exp.Expr) -> exp.Expr:
    """A cast of a text to BINARY reads hexadecimal digits; TRY_CAST to a timestamp returns NULL if it fails."""
    kind = node.args["to"].this
    if kind in (exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY):
        return _call("_try_binary" if isinstance(node, exp.TryCast) else "_binary", node.this)
    if isinstance(node, exp.TryCast) and kind in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        return _call("_try_moment", node.this)
    return node


def _to_binary(node: exp.Expr) -> exp.Expr:
    written = node.args.get("format")
    if written is not None and not written.is_string:
        raise unsupported("TO_BINARY with a format that is not a literal")
    format_ = written.name.upper() if written is not None else "HEX"
    if node.args.get("safe") and format_ != "HEX":
        raise unsupported(f"TRY_TO_BINARY with the format '{format_}'")
    if format_ in ("UTF-8", "UTF8", "BASE64"):
        return _call("FROM_BASE64" if format_ == "BASE64" else "ENCODE", node.this)
    if format_ != "HEX":
        raise unsupported(f"TO_BINARY with the format '{format_}'")
    return _call("_try_binary" if node.args.get("safe") else "_binary", node.this)


def _to_char(node: exp.Expr) -> exp.Expr:
    """TO_CHAR of a date or timestamp with a format; formats of numbers are not supported."""
    written = node.args.get("format")
    if written is None:
        return node
    if not isinstance(written, exp.Literal) or not written.is_string:
        raise unsupported("TO_CHAR with a format that is not a literal")
    return exp.Anonymous(this="STRFTIME", expressions=[node.this, exp.Literal.string(directives(written.name))])


def _call(name: str, argument: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy()])


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.ToBinary: _to_binary,
    exp.ToChar: _to_char,
}
