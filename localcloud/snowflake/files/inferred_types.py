"""Type inference for INFER_SCHEMA.

Types are written as INFER_SCHEMA returns them. As in Snowflake, a NUMBER is as wide as the widest value in the file,
not NUMBER(38, 0).
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from localcloud.snowflake.sessions.session import Session

_MAX_PRECISION = 38


def parquet_type(type_: pa.DataType) -> str:
    """The type of a column; bytes are BINARY whatever BINARY_AS_TEXT says of loading them.

    Arrow's categories and durations are texts and whole numbers in the file.
    """
    if pa.types.is_decimal(type_):
        return f"NUMBER({type_.precision}, {type_.scale})"
    if pa.types.is_dictionary(type_):
        return parquet_type(type_.value_type)
    for matches, name in (
        (pa.types.is_integer, "NUMBER(38, 0)"),
        (pa.types.is_duration, "NUMBER(38, 0)"),
        (pa.types.is_floating, "REAL"),
        (pa.types.is_boolean, "BOOLEAN"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_string, "TEXT"),
        (pa.types.is_large_string, "TEXT"),
        (pa.types.is_binary, "BINARY"),
        (pa.types.is_large_binary, "BINARY"),
        (pa.types.is_fixed_size_binary, "BINARY"),
        (pa.types.is_null, "TEXT"),
    ):
        if matches(type_):
            return name
    return "VARIANT"


def json_kinds(session: Session, values: list[str], source: str) -> list[str | None]:
    """OBJECT, ARRAY, BOOLEAN, TEXT, or VARIANT for mixed kinds; ``None`` for numbers, whose type depends on their
    digits."""
    lists = ", ".join(f"list(DISTINCT json_type({value})) FILTER (json_type({value}) <> 'NULL')" for value in values)
    session.duck.execute(f"SELECT {lists} FROM {source}")
    names = {"OBJECT": "OBJECT", "ARRAY": "ARRAY", "VARCHAR": "TEXT", "BOOLEAN": "BOOLEAN"}
    found: list[str | None] = []
    for kinds in session.duck.fetchall()[0]:
        shown = {names.get(kind, "NUMBER") for kind in kinds or ()}
        if len(shown) > 1:
            found.append("VARIANT")
        else:
            (only,) = shown or {"TEXT"}
            found.append(None if only == "NUMBER" else only)
    return found


def narrowest_types(session: Session, values: list[str], source: str) -> list[str]:
    """The narrowest type of each column that fits all its texts."""
    session.duck.execute(f"SELECT {', '.join(map(_tests, values))} FROM {source}")
    answers = session.duck.fetchall()[0]
    return [_narrowest(answer) for answer in answers]


def _tests(value: str) -> str:
    number = f"regexp_full_match({value}, '[+-]?[0-9]*[.]?[0-9]+')"
    whole = f"length(ltrim(regexp_extract({value}, '^[+-]?([0-9]*)', 1), '0'))"
    fraction = f"length(regexp_extract({value}, '[.]([0-9]+)$', 1))"
    return (
        f"{{'some': count({value}), 'number': bool_and({number}), 'whole': max({whole}), 'fraction': max({fraction}), "
        f"'real': bool_and(regexp_full_match({value}, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')), "
        f"'boolean': bool_and(lower({value}) IN ('true', 'false')), "
        f"'date': bool_and(regexp_full_match({value}, '[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}') "
        f"AND TRY_CAST({value} AS DATE) IS NOT NULL), "
        f"'time': bool_and(regexp_full_match({value}, '[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]+)?)?')), "
        f"'moment': bool_and(TRY_CAST({value} AS TIMESTAMP) IS NOT NULL)}}"
    )


def _narrowest(answer: dict[str, Any]) -> str:
    if not answer["some"]:
        return "TEXT"
    if answer["number"]:
        scale = answer["fraction"]
        precision = max(answer["whole"] + scale, 1)
        return f"NUMBER({precision}, {scale})" if precision <= _MAX_PRECISION else "REAL"
    for test, name in (
        ("real", "REAL"),
        ("boolean", "BOOLEAN"),
        ("date", "DATE"),
        ("time", "TIME"),
        ("moment", "TIMESTAMP_NTZ"),
    ):
        if answer[test]:
            return name
    return "TEXT"


def common(one: str, other: str) -> str:
    if one == other:
        return one
    numbers = [[int(part) for part in re.findall(r"\d+", type_)] for type_ in (one, other)]
    if all(type_.startswith("NUMBER") for type_ in (one, other)):
        scale = max(numbers[0][1], numbers[1][1])
        whole = max(precision - fraction for precision, fraction in numbers)
        return f"NUMBER({min(whole + scale, _MAX_PRECISION)}, {scale})"
    if {one.partition("(")[0], other.partition("(")[0]} == {"NUMBER", "REAL"}:
        return "REAL"
    nested = {"OBJECT", "ARRAY", "VARIANT"} & {one, other}
    return "VARIANT" if nested else "TEXT"
