"""Conversion functions: casts to texts and binaries, and TO_BINARY."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported

_TYPES = exp.DataType.Type
_TRIED = {"TRY_TO_DATE": "_try_date", "TRY_TO_TIME": "_try_time"}
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


def rewrite_floats(node: exp.Expr) -> exp.Expr:
    """FLOAT(n) is FLOAT: Snowflake ignores the number of digits."""
    if isinstance(node, exp.DataType) and node.this in (_TYPES.FLOAT, _TYPES.DOUBLE) and node.expressions:
        node.set("expressions", [])
    return node


def rewrite_rounding(node: exp.Expr) -> exp.Expr:
    """A cast of a float to a whole number rounds half away from zero; DuckDB rounds half to even.

    Runs after the rewrites that look for plain casts.
    """
    if not isinstance(node, exp.Cast) or node.to.this not in exp.DataType.INTEGER_TYPES | {_TYPES.DECIMAL}:
        return node
    if _is_large(node.this) and not _scale(node.to):
        return exp.cast(node.this.copy(), exp.DataType.Type.INT128)
    if isinstance(node.this, exp.Literal | exp.Null) or _scale(node.to):
        return node
    node.set("this", _call("_rounded", node.this))
    return node


def _is_large(value: exp.Expr) -> bool:
    """Whether a literal is a whole number beyond the 64 bits of DuckDB's type for NUMBER(38,0)."""
    return isinstance(value, exp.Literal) and str(value.this).isdecimal() and int(value.this) >= 2**63


def _scale(type_: exp.DataType) -> int:
    """The scale of a NUMBER, which has none if its type has fewer than two parameters."""
    parameters = type_.expressions
    return int(parameters[1].name) if len(parameters) > 1 else 0


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Anonymous) and len(node.expressions) == 1:
        name = str(node.this).upper()
        return _call(_TRIED[name], node.expressions[0]) if name in _TRIED else node
    make = _REWRITES.get(type(node))
    return make(node) if make is not None else node


def _number(node: exp.Expr) -> exp.Expr:
    """NUMBER(0, 0) is accepted, and holds whole numbers as NUMBER(38, 0) does."""
    parameters = node.expressions
    if node.this is _TYPES.DECIMAL and parameters and parameters[0].name == "0":
        parameters[0].set("this", exp.Literal.number(38))
    return node


def _cast(node: exp.Expr) -> exp.Expr:
    """A cast of a text to BINARY reads hexadecimal digits."""
    kind = node.args["to"].this
    if kind in (exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY):
        return _call("_try_binary" if isinstance(node, exp.TryCast) else "_binary", node.this)
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


def _call(name: str, argument: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy()])


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.ToBinary: _to_binary,
    exp.DataType: _number,
}
