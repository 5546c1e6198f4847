"""Conversion of a text value to a column's type, as SQL.

The SQL yields NULL for a text that cannot be converted, instead of DuckDB's error, because one bad row must not end a
load with ON_ERROR = CONTINUE. ``conversion_error`` gives Snowflake's error for such a text.
"""

from __future__ import annotations

import re

from localcloud.snowflake.functions import macros
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.result import ZONED
from localcloud.snowflake.sql.date_formats import OFFSET, OFFSET_WITH_COLON, directives
from localcloud.snowflake.sql.identifiers import text_literal

_TRUE = "'true', 't', 'yes', 'y', 'on', '1'"
_FALSE = "'false', 'f', 'no', 'n', 'off', '0'"
_DATES = "['%d-%b-%Y', '%m/%d/%Y']"
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")
_NUMBERS = ("DECIMAL", "BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "DOUBLE", "FLOAT", "UINTEGER")


def is_number(type_: str) -> bool:
    """Whether a DuckDB type is one of NUMBER's or FLOAT's."""
    return type_.startswith(_NUMBERS) and not type_.endswith("]")


def from_text(value: str, type_: str, chosen: Format) -> str:
    """SQL that converts the SQL expression ``value`` to the DuckDB type ``type_``, with the formats of the file format."""
    if type_ == "VARCHAR":
        return value
    if type_ == "BOOLEAN":
        return f"CASE WHEN lower({value}) IN ({_TRUE}) THEN true WHEN lower({value}) IN ({_FALSE}) THEN false END"
    if type_ == "DATE":
        return _date(value, chosen["DATE_FORMAT"])
    if type_ == "TIME":
        written = chosen["TIME_FORMAT"]
        if written == "AUTO":
            return f"TRY_CAST({value} AS TIME)"
        return f"CAST(try_strptime({value}, {text_literal(directives(written))}) AS TIME)"
    if type_.startswith("TIMESTAMP"):
        return _timestamp(value, type_, chosen["TIMESTAMP_FORMAT"])
    if type_ == "BLOB":
        return _binary(value, chosen["BINARY_FORMAT"])
    if type_ == "JSON":
        return f"TRY_CAST({value} AS JSON)"
    # DuckDB accepts digit separators and other number bases, which Snowflake does not.
    signs = "_" if type_ in ("DOUBLE", "FLOAT") else "_xXbB"
    foreign = " OR ".join(f"contains({value}, '{sign}')" for sign in signs)
    return f"TRY_CAST(CASE WHEN {foreign} THEN NULL ELSE {value} END AS {type_})"


def _date(value: str, written: str) -> str:
    if written == "AUTO":
        return f"COALESCE(TRY_CAST({value} AS DATE), CAST(try_strptime({value}, {_DATES}) AS DATE))"
    return f"CAST(try_strptime({value}, {text_literal(directives(written))}) AS DATE)"


def _timestamp(value: str, type_: str, written: str) -> str:
    if written != "AUTO":
        read = directives(written).replace(OFFSET, "%z").replace(OFFSET_WITH_COLON, "%z")
        return f"CAST(try_strptime({value}, {text_literal(read)}) AS {type_})"
    return f"{macros.full_name('_try_ltz' if type_ == ZONED else '_try_ntz')}({value})"


def _binary(value: str, written: str) -> str:
    if written == "BASE64":
        return f"TRY(from_base64({value}))"
    return f"TRY(unhex({value}))" if written == "HEX" else f"encode({value})"


def conversion_error(value: str, type_: str) -> tuple[int, str, str]:
    """Code, SQL state and text of Snowflake's error for a text that is not a value of the type."""
    if is_number(type_) and _NUMBER.fullmatch(value):
        return 100_132, "22003", f"Numeric value '{value}' is out of range"
    if is_number(type_):
        return 100_038, "22018", f"Numeric value '{value}' is not recognized"
    if type_ == "BOOLEAN":
        return 100_037, "22018", f"Boolean value '{value}' is not recognized"
    if type_ == "DATE":
        return 100_040, "22007", f"Date '{value}' is not recognized"
    if type_ == "TIME":
        return 100_108, "22007", f"Time '{value}' is not recognized"
    if type_.startswith("TIMESTAMP"):
        return 100_035, "22007", f"Timestamp '{value}' is not recognized"
    if type_ == "BLOB":
        return 100_115, "22000", f"The following string is not a legal hex-encoded value: '{value}'"
    return 100_069, "22P02", f"Error parsing JSON: {value[:100]}"
