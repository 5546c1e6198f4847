"""Single values of a pipeline file: durations, names and definitions.

Each kind is a validator, which takes YAML's value and returns the value for ``schema`` or raises with a sentence that says how
to write it, and its JSON Schema for editors.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from app.errors import CallerError
from app.sql import Name

_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_SOURCE = re.compile(r"[a-z][a-z0-9_]*")

#: A century: far beyond any use, and small enough to count dates back by it.
_LONGEST = timedelta(days=36525)
_DURATION = re.compile(r"(\d+)\s*(minute|hour|day|week)s?")


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(str(value).strip())
    if match is None or not int(match[1]):
        raise ValueError("a duration is a whole number and a unit: minutes, hours, days or weeks")
    try:
        found = int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        found = timedelta.max
    if found > _LONGEST:
        raise ValueError(f"a duration is at most {_LONGEST.days} days")
    return found


def _name(value: object) -> str:
    try:
        return str(Name.parse(str(value)))
    except CallerError as error:
        raise ValueError(str(error)) from None


def _column(value: object) -> str:
    name = _name(value)
    if "." in name:
        raise ValueError("this is a column, write it without schema and table")
    return Name.parse(name).last


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("this must be a single number, text or boolean")
    return value


def _null_is_a_word(value: object) -> object:
    # YAML reads a bare null as no value; here it means the word.
    return "null" if value is None else value


def _source_name(value: object) -> str:
    if not isinstance(value, str) or not _SOURCE.fullmatch(value):
        raise ValueError("a source's short name is made of lower-case letters, digits and _; SQL views use it as it is")
    return value


SourceName = Annotated[str, BeforeValidator(_source_name)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
ObjectName = Annotated[str, BeforeValidator(_name)]
ColumnName = Annotated[str, BeforeValidator(_column)]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Definition = Annotated[str, Field(pattern=r"^(.+\.sql|.+\.py:[A-Za-z_]\w*)$")]
OnBadRow = Annotated[
    Literal["fail", "null", "error"],
    BeforeValidator(_null_is_a_word),
    WithJsonSchema({"enum": ["fail", "null", "error", None]}),
]
Absent = Annotated[Literal["null"] | None, BeforeValidator(_null_is_a_word)]
