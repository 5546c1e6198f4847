"""Conversions to timestamps and their texts: casts, TO_TIMESTAMP and its variants, CONVERT_TIMEZONE.

TIMESTAMP_LTZ and TIMESTAMP_TZ are DuckDB's TIMESTAMP WITH TIME ZONE, which converts in the session's time zone. DuckDB does not
store the offset of a TIMESTAMP_TZ. Functions of CONVERT_TIMEZONE('zone', x) therefore take the wall clock of that zone from the
expression itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.sql.date_formats import OFFSET, OFFSET_WITH_COLON, directives

_TYPES = exp.DataType.Type
_PLAIN = (_TYPES.TIMESTAMP, _TYPES.TIMESTAMPNTZ, _TYPES.DATETIME)
_ZONED = (_TYPES.TIMESTAMPLTZ, _TYPES.TIMESTAMPTZ)
_MAPPED = {"TIMESTAMP_LTZ": _TYPES.TIMESTAMPLTZ, "TIMESTAMP_TZ": _TYPES.TIMESTAMPTZ}
_TEXTS = (_TYPES.VARCHAR, _TYPES.TEXT)
_DAYS = (_TYPES.DATE, _TYPES.TIME)
# Name of the function -> macro. TO_TIMESTAMP is TO_TIMESTAMP_NTZ by default (TIMESTAMP_TYPE_MAPPING).
_MACROS = {
    **dict.fromkeys(("TO_TIMESTAMP", "TO_TIMESTAMP_NTZ"), "_ntz"),
    **dict.fromkeys(("TO_TIMESTAMP_LTZ", "TO_TIMESTAMP_TZ"), "_ltz"),
}
_OFFSET = re.compile(r":\d\d(?:\.\d+)?\s*(?:([+-]\d\d):?(\d\d)?|Z)$")
# The macro of CONVERT_TIMEZONE with two arguments: zone, and the moment that is shown there.
_IN_ZONE = "_IN_ZONE"
# Expressions that may be timestamps.
_MOMENTS = (
    exp.Column,
    exp.CurrentTimestamp,
    exp.Max,
    exp.Min,
    exp.DateAdd,
    exp.TimeAdd,
    exp.DateTrunc,
    exp.TimestampTrunc,
)
# The formats of a binary, and DuckDB's function for each.
_BINARY_FORMATS = {"HEX": "HEX", "BASE64": "TO_BASE64", "UTF-8": "DECODE", "UTF8": "DECODE"}
# Microseconds in a unit of a number, by TO_TIMESTAMP's scale.
_UNITS = {str(scale): f"{10.0 ** (6 - scale):.3f}".rstrip("0").rstrip(".") for scale in range(10)}


def mapped(expression: exp.Expr, mapping: str) -> exp.Expr:
    """The statement with TIMESTAMP, and TO_TIMESTAMP and its like, as TIMESTAMP_TYPE_MAPPING says."""
    kind = _MAPPED.get(mapping.upper())
    if kind is None:
        return expression
    for type_ in expression.find_all(exp.DataType):
        if type_.this is _TYPES.TIMESTAMP:
            type_.set("this", kind)
    for call in expression.find_all(exp.UnixToTime, exp.StrToTime):
        target = call.args.get("target_type")
        if isinstance(target, exp.DataType) and target.this is _TYPES.TIMESTAMP:
            call.set("target_type", exp.DataType(this=kind))
    for call in expression.find_all(exp.Anonymous):
        if (name := str(call.this).upper()) in ("TO_TIMESTAMP", "TRY_TO_TIMESTAMP"):
            call.set("this", f"{name}_{mapping.upper().removeprefix('TIMESTAMP_')}")
    return expression


def rewrite(node: exp.Expr) -> exp.Expr:
    make = _REWRITES.get(type(node))
    return node if make is None else make(node)


def _cast(node: exp.Expr) -> exp.Expr:
    kind, safe = node.args["to"].this, isinstance(node, exp.TryCast)
    if kind in _PLAIN:
        return _call("_try_ntz" if safe else "_ntz", _wall_clock(node.this))
    if kind in _ZONED:
        return _call("_try_ltz" if safe else "_ltz", node.this)
    if kind in _DAYS and (wall := _wall_clock(node.this)) is not node.this:
        return exp.Cast(this=wall, to=node.args["to"].copy())
    if kind == _TYPES.TIME and not safe and _may_be_moment(node.this):
        return _call("_time", node.this)
    if kind in _TEXTS and not node.args["to"].expressions and _may_be_moment(node.this):
        return _text(node.this)
    return node


def _text(node: exp.Expr) -> exp.Expr:
    """The text in Snowflake's default output format."""
    if (wall := _wall_clock(node)) is node:
        return _call("_text", node)
    if wall.is_string:
        return _text_of_literal(node, wall)
    return _formatted(wall, node, f"%Y-%m-%d %H:%M:%S.%g {OFFSET}")


def _text_of_literal(moment: exp.Expr, literal: exp.Expr) -> exp.Expr:
    """The text of a TIMESTAMP_TZ that a literal gives, with the literal's offset or that of the session."""
    offset = _OFFSET.search(literal.name)
    if offset is None:
        return _call("_text", moment)
    shown = f" {offset[1]}{offset[2] or '00'}" if offset[1] else " +0000"
    return exp.Concat(expressions=[_call("_text", _call("_ntz", literal)), exp.Literal.string(shown)])


def _formatted(wall: exp.Expr, moment: exp.Expr, format_: str) -> exp.Expr:
    """``moment``, whose wall clock is ``wall``, in a format with the offset of its zone."""
    shown, inner = exp.Literal.string(format_), moment.unnest()
    if isinstance(inner, exp.Anonymous) and str(inner.this) == _IN_ZONE:
        zone, value = inner.expressions
        return exp.Anonymous(this="_formatted_in", expressions=[value.copy(), shown, zone.copy()])
    if wall is moment:
        return exp.Anonymous(this="_formatted_here", expressions=[moment.copy(), shown])
    return exp.Anonymous(this="_formatted", expressions=[wall.copy(), moment.copy(), shown, exp.Null()])


def _may_be_moment(node: exp.Expr) -> bool:
    """Whether an expression may be a timestamp; texts and numbers are not."""
    if isinstance(node, exp.Anonymous):
        return str(node.this) in ("_ntz", "_ltz", _IN_ZONE, "CAST_TO_TYPE")
    return isinstance(node, _MOMENTS)


def _from_text_or_number(node: exp.Expr) -> exp.Expr:
    """TO_TIMESTAMP of one argument, as sqlglot leaves it."""
    name = str(node.this).upper()
    if name == "_TEXT" and _wall_clock(node.expressions[0]) is not node.expressions[0]:
        return _text(node.expressions[0])
    macro = _MACROS.get(name.removeprefix("TRY_"))
    if macro is None or not node.expressions or len(node.expressions) > 2:
        return node
    value = node.expressions[0]
    if len(node.expressions) == 2:
        raise unsupported(f"{name} with a format or scale that is not a literal")
    if name.startswith("TRY_"):
        return _call(f"_try{macro}", value)
    return _call(macro, _wall_clock(value) if macro == "_ntz" else value)


def _from_number(node: exp.Expr) -> exp.Expr:
    """``TO_TIMESTAMP(x, scale)``, and TO_TIMESTAMP of a literal."""
    target, scale = node.args.get("target_type"), node.args.get("scale")
    macro = "_ltz" if target is not None and target.this in _ZONED else "_ntz"
    if scale is None:
        return _call(macro, node.this)
    unit = _UNITS.get(scale.name)
    if unit is None:
        raise unsupported(f"TO_TIMESTAMP with the scale {scale.sql(dialect='snowflake')}, only 0 to 9")
    return exp.Anonymous(this=f"{macro}_of", expressions=[node.this.copy(), exp.Literal.number(unit)])


def _convert(node: exp.Expr) -> exp.Expr:
    source, target, moment = (node.args.get(name) for name in ("source_tz", "target_tz", "timestamp"))
    if target is None or moment is None:
        return node
    if source is None:
        return exp.Anonymous(this=_IN_ZONE, expressions=[target.copy(), moment.copy()])
    return _zone(target, _zone(source, _call("_without_zone", moment)))


def _zone(zone: exp.Expr, moment: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="TIMEZONE", expressions=[zone.copy(), moment])


def _wall_clock(node: exp.Expr) -> exp.Expr:
    """The TIMESTAMP_NTZ of an expression whose offset is known; any other expression as it is."""
    inner = node.this if isinstance(node, exp.Paren) else node
    if not isinstance(inner, exp.Anonymous):
        return node
    if str(inner.this) == _IN_ZONE:
        zone, moment = inner.expressions
        return _zone(zone, _call("_ltz", moment))
    # A text with an offset that becomes a TIMESTAMP_TZ keeps its wall clock; other values have the session's.
    return inner.expressions[0] if str(inner.this) == "_ltz" and inner.expressions[0].is_string else node


def _truncated(node: exp.Expr) -> exp.Expr:
    """DATE_TRUNC, DATEADD and the like of a moment in a zone: computed on its wall clock, and a moment in that zone again."""
    wall = _wall_clock(node.this)
    if wall is node.this or not isinstance(node.this, exp.Anonymous) or str(node.this.this) != _IN_ZONE:
        return node
    zone = node.this.expressions[0].copy()
    moved = node.copy()
    moved.set("this", wall)
    return exp.Anonymous(this=_IN_ZONE, expressions=[zone, _zone(zone.copy(), moved)])


def _on_wall_clock(node: exp.Expr) -> exp.Expr:
    """A part of a date, or a text, of a moment in a zone."""
    for name in ("this", "expression"):
        value = node.args.get(name)
        if isinstance(value, exp.Expression) and (wall := _wall_clock(value)) is not value:
            value.replace(wall.copy())
    return node


def _to_char(node: exp.Expr) -> exp.Expr:
    """TO_CHAR with a format; formats of numbers are not supported."""
    written = node.args.get("format")
    if written is None:
        return _text(node.this)
    if not isinstance(written, exp.Literal) or not written.is_string:
        raise unsupported("TO_CHAR with a format that is not a literal")
    if (binary := _BINARY_FORMATS.get(written.name.upper())) is not None:
        return exp.Anonymous(this=binary, expressions=[_call("_bytes", node.this)])
    wall, format_ = _wall_clock(node.this), directives(written.name)
    if OFFSET not in format_ and OFFSET_WITH_COLON not in format_:
        return exp.Anonymous(this="STRFTIME", expressions=[_call("_dated", wall), exp.Literal.string(format_)])
    return _formatted(wall, node.this, format_)


def _time_to_text(node: exp.Expr) -> exp.Expr:
    """TO_CHAR with a format, of an expression that sqlglot knows to be a timestamp."""
    format_ = str(node.args["format"].name).replace("%:z", OFFSET_WITH_COLON).replace("%z", OFFSET)
    wall = _wall_clock(node.this)
    if OFFSET in format_ or OFFSET_WITH_COLON in format_:
        return _formatted(wall, node.this, format_)
    node.set("this", _call("_dated", wall))
    return node


def _to_time(node: exp.Expr) -> exp.Expr:
    if node.args.get("format") is not None or not _may_be_moment(node.this):
        return node
    return _call("_time", _wall_clock(node.this))


def _from_parts(node: exp.Expr) -> exp.Expr:
    """``TIMESTAMP_*_FROM_PARTS(year, month, day, hour, minute, second [, nanosecond [, zone]])``"""
    parts = [node.args.get(name) for name in ("year", "month", "day", "hour", "min", "sec")]
    if any(part is None for part in parts):
        return node
    seconds, nanoseconds, zone = parts[-1], node.args.get("nano"), node.args.get("zone")
    if nanoseconds is not None:
        seconds = exp.Add(this=seconds, expression=exp.Div(this=nanoseconds, expression=exp.Literal.number("1e9")))
    wall = exp.Anonymous(this="MAKE_TIMESTAMP", expressions=[*parts[:-1], seconds])
    if zone is not None:
        return exp.Anonymous(this=_IN_ZONE, expressions=[zone.copy(), _zone(zone, wall)])
    return wall if isinstance(node, exp.TimestampFromParts) else _call("_ltz", wall)


def _local(_: exp.Expr) -> exp.Expr:
    """LOCALTIMESTAMP is CURRENT_TIMESTAMP."""
    return exp.CurrentTimestamp()


def _call(name: str, argument: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy()])


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Anonymous: _from_text_or_number,
    exp.UnixToTime: _from_number,
    exp.ConvertTimezone: _convert,
    exp.ToChar: _to_char,
    exp.TimeToStr: _time_to_text,
    exp.TimestampTzFromParts: _from_parts,
    exp.TimestampLtzFromParts: _from_parts,
    exp.TimestampFromParts: _from_parts,
    exp.Localtimestamp: _local,
    exp.TsOrDsToTime: _to_time,
    **dict.fromkeys(
        (exp.DateTrunc, exp.TimestampTrunc, exp.DateAdd, exp.TimeAdd, exp.AddMonths, exp.TimeSlice), _truncated
    ),
    **dict.fromkeys(
        (
            *(exp.Extract, exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second, exp.Quarter, exp.Week),
            *(exp.DayOfWeek, exp.DayOfWeekIso, exp.DayOfMonth, exp.DayOfYear, exp.WeekOfYear, exp.YearOfWeek),
            *(exp.TsOrDsToDate, exp.LastDay, exp.Dayname, exp.Monthname),
        ),
        _on_wall_clock,
    ),
}
