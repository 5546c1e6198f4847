"""Encoding of a call's arguments as JSON text in DuckDB SQL: the part of a JSON row after its number.

The expression yields ``,1.5,"x"]``, or :data:`WRONG_TYPE` if an OBJECT or ARRAY argument has another type, or NULL if a
STRICT function must not be called. DuckDB writes the shortest digits that represent a double exactly, so values never
become Python objects. NaN and infinity become null.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.functions import macros
from localcloud.snowflake.objects.external_functions.http.response import is_bigint
from localcloud.snowflake.sql.syntax import Type

JSON_TYPES = ("OBJECT", "ARRAY", "VARIANT")
# Marks a row that must not be sent; JSON text never contains an unescaped control character.
WRONG_TYPE = "\x01"
# Formats of Snowflake's default output parameters.
_FORMATS = {
    "DATE": "%Y-%m-%d",
    "TIME": "%H:%M:%S",
    "TIMESTAMP_NTZ": "%Y-%m-%d %H:%M:%S.%g",
    "TIMESTAMP_LTZ": "",
    "TIMESTAMP_TZ": "",
}
CASTS = {
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP_NTZ": "TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "VARCHAR": "VARCHAR",
    "NUMBER": "BIGINT",
}
_VOLATILE = (exp.Anonymous, exp.Rand, exp.Randn, exp.Uuid, exp.Subquery)
_NULL = exp.Literal.string("null")


def row_text(arguments: list[exp.Expr], declared: list[Type], *, strict: bool) -> exp.Expr:
    """The row's text. A NULL argument is written as ``null``, or makes the whole text NULL if the function is
    ``strict``."""
    parts = [_part(argument.copy(), type_, strict=strict) for argument, type_ in zip(arguments, declared, strict=True)]
    pieces = [piece for part in parts for piece in (exp.Literal.string(","), part)]
    return _joined(*pieces, exp.Literal.string("]"), strict=strict)


def _joined(*pieces: exp.Expr, strict: bool = True) -> exp.Expr:
    """Concatenate the pieces. CONCAT is faster but skips NULL; ``||`` with a NULL is NULL."""
    if not strict:
        return exp.Anonymous(this="CONCAT", expressions=list(pieces))
    text = pieces[-1]
    for piece in reversed(pieces[:-1]):
        text = exp.DPipe(this=piece, expression=text, safe=True)
    return text


def _part(argument: exp.Expr, type_: Type, *, strict: bool) -> exp.Expr:
    """One value as JSON text."""

    def text(value: exp.Expr) -> exp.Expr:
        if type_.name == "FLOAT":
            return _float(value, strict=strict)
        if type_.name in ("OBJECT", "ARRAY"):
            return _checked(value, type_, strict=strict)
        written = _as_json(value, type_)
        return written if strict else exp.func("COALESCE", written, _NULL.copy())

    return _once(argument, text)


def _as_json(value: exp.Expr, type_: Type) -> exp.Expr:
    if type_.name == "BOOLEAN" or (type_.name == "NUMBER" and is_bigint(type_)):
        return exp.cast(exp.cast(value, CASTS[type_.name]), "VARCHAR")
    if type_.name == "NUMBER":
        return exp.cast(decimal(value, type_), "VARCHAR")
    if type_.name == "VARIANT":
        return _json(value)
    if type_.name == "BINARY":
        return _quoted(exp.Anonymous(this="HEX", expressions=[value]))
    if type_.name not in _FORMATS:
        return _json(exp.cast(value, "VARCHAR"))
    moment: exp.Expr = exp.cast(value, CASTS[type_.name])
    if type_.name == "TIME":
        # STRFTIME does not accept TIME, so the time is added to a date.
        moment = exp.Add(this=exp.cast(exp.Literal.string("1970-01-01"), "DATE"), expression=moment)
    if type_.name in ("TIMESTAMP_LTZ", "TIMESTAMP_TZ"):
        return _quoted(exp.Anonymous(this=macros.full_name("_zoned_text"), expressions=[moment]))
    return _quoted(exp.Anonymous(this="STRFTIME", expressions=[moment, exp.Literal.string(_FORMATS[type_.name])]))


def _json(value: exp.Expr) -> exp.Expr:
    return exp.cast(exp.Anonymous(this="TO_JSON", expressions=[value]), "VARCHAR")


def _quoted(value: exp.Expr) -> exp.Expr:
    return _joined(exp.Literal.string('"'), value, exp.Literal.string('"'))


def decimal(value: exp.Expr, type_: Type) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(f"DECIMAL({type_.precision},{type_.scale})"))


def _float(value: exp.Expr, *, strict: bool) -> exp.Expr:
    number = exp.cast(value, "DOUBLE")
    finite = exp.Anonymous(this="ISFINITE", expressions=[number])
    found = exp.Case().when(finite, exp.cast(number.copy(), "VARCHAR"))
    if strict:
        return found.when(exp.Not(this=exp.Is(this=number.copy(), expression=exp.Null())), _NULL.copy())
    return found.else_(_NULL.copy())


def _checked(value: exp.Expr, type_: Type, *, strict: bool) -> exp.Expr:
    """A value of another type marks the whole row, which is detected when the row is sent."""
    text = _json(value)
    opening = "{" if type_.name == "OBJECT" else "["
    fitting = exp.EQ(
        this=exp.Anonymous(this="LEFT", expressions=[text, exp.Literal.number(1)]),
        expression=exp.Literal.string(opening),
    )
    empty = exp.Is(this=text.copy(), expression=exp.Null())
    null = exp.or_(empty, exp.EQ(this=text.copy(), expression=_NULL.copy()))
    nothing: exp.Expr = text.copy() if strict else _NULL.copy()
    return exp.Case().when(fitting, text.copy()).when(null, nothing).else_(exp.Literal.string(WRONG_TYPE))


def _once(argument: exp.Expr, text: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Evaluate an expensive or volatile argument once, because ``text`` may use its value twice."""
    if argument.find(*_VOLATILE) is None:
        return text(argument)
    value = exp.to_identifier("_value", quoted=True)
    look = exp.Lambda(this=text(exp.Column(this=value.copy())), expressions=[value])
    made = exp.Anonymous(
        this="LIST_TRANSFORM", expressions=[exp.Anonymous(this="LIST_VALUE", expressions=[argument]), look]
    )
    return exp.Anonymous(this="LIST_EXTRACT", expressions=[made, exp.Literal.number(1)])
