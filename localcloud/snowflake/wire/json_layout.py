"""The layout of VARIANT, OBJECT and ARRAY values in results: one element a line, indented by JSON_INDENT spaces, keys sorted.

Casts to text inside of statements stay on one line, as in Snowflake.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pyarrow as pa

_NESTED = frozenset({"variant", "object", "array"})
# Numbers that orjson would write in another way: floats, and integers beyond 64 bits.
_NUMBER = re.compile(r"\d[.eE]|\d{19}")
_SCALAR = re.compile(r"[^\[{]")
_EXPONENT = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")


def laid_out(table: pa.Table, rowtype: list[dict[str, Any]], indent: int) -> pa.Table:
    """The table with its semi-structured columns as Snowflake shows them."""
    for at, (field, described) in enumerate(zip(table.schema, rowtype, strict=True)):
        if described["type"] in _NESTED and pa.types.is_string(field.type):
            texts = [None if text is None else layout(text, indent) for text in table.column(at).to_pylist()]
            table = table.set_column(at, field, pa.array(texts, type=field.type))
    return table


def layout(text: str, indent: int) -> str:
    """One JSON value, the keys of objects in their order. With an indent of 0 it stays on one line."""
    if _SCALAR.match(text):
        return _scalar(text)
    if indent == 2 and not _NUMBER.search(text):
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    parsed = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    return _written(parsed, indent, 0)


class _Number(str):
    """A number as the text that is stored."""


def _written(value: Any, indent: int, depth: int) -> str:
    if isinstance(value, _Number):
        return _scalar(value)
    if not isinstance(value, dict | list) or not value:
        return orjson.dumps(value).decode()
    around, parts = "[]", value
    if isinstance(value, dict):
        around, parts = "{}", sorted(value)
    written = [_member(value, part, indent, depth + 1) for part in parts]
    between = _line(depth + 1, indent)
    return around[0] + between + f",{between}".join(written) + _line(depth, indent) + around[1]


def _member(owner: Any, part: Any, indent: int, depth: int) -> str:
    """An element of a list, or a key of an object with its value."""
    if isinstance(owner, list):
        return _written(part, indent, depth)
    return orjson.dumps(part).decode() + (": " if indent else ":") + _written(owner[part], indent, depth)


def _line(depth: int, indent: int) -> str:
    return "\n" + " " * (depth * indent) if indent else ""


def _scalar(text: str) -> str:
    """A float with an exponent has 15 decimals, which reads as infinity for the largest ones."""
    return f"{float(text):.15e}" if _EXPONENT.fullmatch(text) else text
