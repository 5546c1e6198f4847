"""Single values of a pipeline file: durations, names and definitions.

Each kind is a validator, which takes YAML's value and returns the value for ``schema`` or raises with a sentence that says how
to write it, and its JSON Schema for editors.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from app.errors import CallerError
from app.sql import Name
from sagemaker_entry.contract import Unknown

_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_DEFINITION = re.compile(r"(?P<sql>.+\.sql)|(?P<python>.+\.py):[A-Za-z_]\w*")
_SOURCE = re.compile(r"[a-z][a-z0-9_]*")

#: A century: far beyond any use, and small enough to count dates back by it.
_LONGEST = timedelta(days=36525)
_DURATION = re.compile(r"(\d+)\s*(minute|hour|day|week)s?")

#: Names that are written the same in SQL, in an object's keys, in Parquet, in XGBoost and as a function's argument.
_FEATURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_PIPELINE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,23}[a-z0-9])?")
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")


class Wrong(ValueError):
    """Faults of keys below the validated one. ``faults``: (keys, what is wrong and what to write) of each."""

    def __init__(self, *faults: tuple[tuple[str | int, ...], str]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, keys))}: {text}" for keys, text in faults))
        self.faults = faults


def wrong(keys: str, text: str) -> Wrong:
    """One fault. ``keys``: such as ``gate.metric``."""
    return Wrong((tuple(keys.split(".")), text))


def feature_name_fault(name: str) -> str:
    """Why a column cannot be a feature, a label or a key by its name, and the alias to write; empty if it can."""
    if _FEATURE_NAME.fullmatch(name):
        return ""
    return (
        f"the name {name} cannot be an argument of the SQL function and a feature in XGBoost, since it has characters other than "
        f"letters, digits, _ and $; give it an alias: AS {alias_of(name)}"
    )


def alias_of(name: str) -> str:
    """A name of letters, digits and _ that resembles ``name``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    words = re.sub(r"[^A-Z0-9]+", "_", plain).strip("_")
    return words if words[:1].isalpha() else f"F_{words}".rstrip("_")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def parse_duration(value: object) -> timedelta:
    """``90 days`` or ``12hours``. Raises ValueError with a sentence that says how to write it."""
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
        return str(Name.parse(_text(value)))
    except CallerError as error:
        raise ValueError(str(error)) from None


def _column(value: object) -> str:
    name = _name(value)
    if "." in name:
        raise ValueError("this is a column, write it without schema and table")
    return Name.parse(name).last


def _feature_column(value: object) -> str:
    name = _column(value)
    if fault := feature_name_fault(name):
        raise ValueError(f"{fault} in every view and in the label, and write {alias_of(name)} here")
    return name


def is_pipeline_name(text: str) -> bool:
    """Whether the names of all that a pipeline makes can be formed of ``text``; the longest are those of training jobs."""
    return _PIPELINE_NAME.fullmatch(text) is not None


def _pipeline_name(value: object) -> str:
    if not is_pipeline_name(text := _text(value)):
        raise ValueError(
            "a pipeline's name is made of lower-case letters, digits and -, begins with a letter, ends with a letter or digit, and "
            "has at most 25 characters"
        )
    return text


def _instance_type(value: object) -> str:
    if not _INSTANCE_TYPE.fullmatch(text := _text(value)):
        raise ValueError("an instance type of SageMaker has three parts")
    return text


def _definition(value: object) -> str:
    match = _DEFINITION.fullmatch(text := _text(value))
    if match is None:
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": _DEFINITION.pattern})
    file = match["sql"] or match["python"]
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "\\" in text or PureWindowsPath(file).drive or "\0" in text:
        raise ValueError(
            f"{file} is outside the pipeline's folder; move the file into it, because a run is identified by the files of "
            "its folder"
        )
    return text


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a single number, text or boolean")
    return value


def _null_is_a_word(value: object) -> object:
    # YAML reads a bare null as no value; here it means the word.
    return "null" if value is None else value


def _categories(value: object) -> object:
    """``auto`` as no list: for all columns no key, for one column no values."""
    if value == "auto":
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be auto, or a mapping of columns to auto or to their values")
    if faulty := [
        column for column, listed in value.items() if not (listed == "auto" or (listed and isinstance(listed, list)))
    ]:
        raise Wrong(
            *(((column,), "must be auto, or a list of at least one value, each of them once") for column in faulty)
        )
    return {column: () if listed == "auto" else listed for column, listed in value.items()}


def _unknown(value: object) -> object:
    """A rule for all columns, or for each; YAML's bare null is the word."""
    if not isinstance(value, dict):
        return _unknown_word(value)
    found = {}
    for column, rule in value.items():
        try:
            found[_column(column)] = _unknown_word(rule)
        except ValueError as error:
            raise wrong(column, str(error)) from None
    return found


def _unknown_word(value: object) -> object:
    if (word := _null_is_a_word(value)) not in ("null", "error"):
        raise ValueError("must be null or error")
    return word


def _source_name(value: object) -> str:
    if not _SOURCE.fullmatch(text := _text(value)):
        raise ValueError("a source's short name is made of lower-case letters, digits and _; SQL views use it as it is")
    return text


Text = Annotated[str, BeforeValidator(_text)]
SourceName = Annotated[str, BeforeValidator(_source_name)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
ObjectName = Annotated[str, BeforeValidator(_name)]
ColumnName = Annotated[str, BeforeValidator(_column)]
FeatureName = Annotated[str, BeforeValidator(_feature_column)]
PipelineName = Annotated[
    str, BeforeValidator(_pipeline_name), WithJsonSchema({"type": "string", "pattern": f"^{_PIPELINE_NAME.pattern}$"})
]
InstanceType = Annotated[
    str, BeforeValidator(_instance_type), WithJsonSchema({"type": "string", "pattern": f"^{_INSTANCE_TYPE.pattern}$"})
]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Definition = Annotated[
    str,
    BeforeValidator(_definition),
    WithJsonSchema({"type": "string", "pattern": r"^(.+\.sql|.+\.py:[A-Za-z_]\w*)$"}),
]
OnBadRow = Annotated[
    Literal["fail", "null", "error"],
    BeforeValidator(_null_is_a_word),
    WithJsonSchema({"enum": ["fail", "null", "error", None]}),
]
_UNKNOWN_SCHEMA = {"enum": ["null", "error", None]}
Categories = Annotated[
    dict[ColumnName, tuple[str, ...]],
    BeforeValidator(_categories),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {
                    "type": "object",
                    "additionalProperties": {
                        "anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
                    },
                },
            ]
        }
    ),
]
UnknownRule = Annotated[
    Unknown | dict[str, Unknown] | None,
    BeforeValidator(_unknown),
    WithJsonSchema({"anyOf": [_UNKNOWN_SCHEMA, {"type": "object", "additionalProperties": _UNKNOWN_SCHEMA}]}),
]
Absent = Annotated[Literal["null"] | None, BeforeValidator(_null_is_a_word)]
