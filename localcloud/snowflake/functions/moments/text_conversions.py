"""TO_DATE and TO_TIME, and TO_DATE, TO_TIME and TO_TIMESTAMP with a format, of texts."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.functions.moments.written_formats import ISO_TEXT

_ZONED = (exp.DataType.Type.TIMESTAMPLTZ, exp.DataType.Type.TIMESTAMPTZ)
_NAMED = {"TO_DATE": "_date", "DATE": "_date", "TO_TIME": "_time", "TIME": "_time"}
_ISO_DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}\s*")
# A fraction of a second as sqlglot writes it, with the point before it.
_FRACTION = re.compile(r"\.?%f(?:_[a-z]+)?\d?")


def rewrite(node: exp.Expr) -> exp.Expr:
    make = _REWRITES.get(type(node))
    return node if make is None else make(node)


def _to_date(node: exp.Expr) -> exp.Expr:
    return _converted(node, "_date")


def _to_time(node: exp.Expr) -> exp.Expr:
    return _converted(node, "_time")


def _to_timestamp(node: exp.Expr) -> exp.Expr:
    target = node.args.get("target_type")
    return _converted(node, "_ltz" if isinstance(target, exp.DataType) and target.this in _ZONED else "_ntz")


def _cast(node: exp.Expr) -> exp.Expr:
    """A cast to DATE of a text, which may have another format than DuckDB's, or of a column, which may hold texts."""
    given = node.this
    if node.args["to"].this is not exp.DataType.Type.DATE:
        return node
    if isinstance(given, exp.Column) or (given.is_string and not _ISO_DATE.fullmatch(given.name)):
        return _read(given, "_date", safe=isinstance(node, exp.TryCast))
    return node


def _read(value: exp.Expr, macro: str, *, safe: bool) -> exp.Expr:
    """DuckDB computes all branches for a constant, so that a literal needs the macro of texts."""
    return _call(f"_try{macro}" if safe else f"{macro}_text" if value.is_string else macro, value)


def _named(node: exp.Expr) -> exp.Expr:
    """TO_DATE and TO_TIME of a literal that sqlglot leaves as it is."""
    macro = _NAMED.get(str(node.this).upper())
    if macro is None or len(node.expressions) != 1:
        return node
    return _read(node.expressions[0], macro, safe=False)


def _converted(node: exp.Expr, macro: str) -> exp.Expr:
    safe, format_ = bool(node.args.get("safe")), node.args.get("format")
    if format_ is None:
        return _read(node.this, macro, safe=safe) if macro in ("_date", "_time") else node
    written = format_.name if isinstance(format_, exp.Literal) else None
    if written is None or ("%z" in written and macro != "_ltz") or written.upper() == "AUTO":
        return _by_row(node.this, format_, macro, safe=safe)
    formats = [exp.Literal.string(each) for each in _readable(written)]
    read = exp.Anonymous(
        this="TRY_STRPTIME" if safe else "STRPTIME",
        expressions=[_call("_text", node.this), exp.Anonymous(this="LIST_VALUE", expressions=formats)],
    )
    return _call(macro, read)


def _by_row(text: exp.Expr, format_: exp.Expr, macro: str, *, safe: bool) -> exp.Expr:
    read = exp.Anonymous(this=ISO_TEXT, expressions=[_call("_text", text), format_.copy()])
    if safe:
        return _call(f"_try{macro}", read)
    return _call(macro, exp.Anonymous(this="_read_or_fail", expressions=[read, _call("_text", text)]))


def _readable(written: str) -> list[str]:
    """DuckDB's directives: a fraction has any number of digits, and may be absent."""
    if not _FRACTION.search(written):
        return [written]
    return [
        _FRACTION.sub(lambda found: "." * found[0].startswith(".") + "%n", written),
        _FRACTION.sub("", written),
    ]


def _call(name: str, argument: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy()])


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.TsOrDsToDate: _to_date,
    exp.TsOrDsToTime: _to_time,
    exp.StrToTime: _to_timestamp,
    exp.Time: _to_time,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Anonymous: _named,
}
