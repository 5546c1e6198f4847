"""SQL that formats the rows of a query as CSV or JSON lines.

The resulting query has one column; each value is a complete line with its terminator. DuckDB does the formatting, so
rows are never processed in Python and every delimiter that Snowflake allows is supported.
"""

from __future__ import annotations

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.files.conversions import is_number
from localcloud.snowflake.functions import macros
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.sql.date_formats import OFFSET, directives
from localcloud.snowflake.sql.identifiers import quoted, text_literal

_NESTED = ("STRUCT", "MAP", "JSON")
# TIMESTAMP_OUTPUT_FORMAT and the other output formats of a session that sets none.
_AUTO_DATE, _AUTO_TIME = "%Y-%m-%d", "%H:%M:%S"
_AUTO_TIMESTAMP = "%Y-%m-%d %H:%M:%S.%g"

Columns = list[tuple[str, str]]


def json_lines(sql: str, columns: Columns) -> str:
    """One document per line. The query must have one column of a semi-structured type."""
    (name, type_), *more = columns
    if more or not (type_.startswith(_NESTED) or type_.endswith("]")):
        raise compilation(
            2,
            "0A000",
            "JSON file format can produce one and only one column of type variant or object or array. "
            "Use CSV file format if you want to load more than one column.",
        )
    return f"SELECT COALESCE(CAST(to_json({quoted(name)}) AS VARCHAR), 'null') || chr(10) AS line FROM ({sql})"


def csv_lines(sql: str, columns: Columns, chosen: Format) -> str:
    delimiter = text_literal(chosen["FIELD_DELIMITER"] or "")
    fields = f" || {delimiter} || ".join(_field(quoted(name), type_, chosen) for name, type_ in columns)
    return f"SELECT {fields} || {text_literal(chosen['RECORD_DELIMITER'] or '')} AS line FROM ({sql})"


def csv_header(columns: Columns, chosen: Format) -> str:
    quote = chosen["FIELD_OPTIONALLY_ENCLOSED_BY"] or ""
    names = [f"{quote}{name.replace(quote, quote * 2) if quote else name}{quote}" for name, _ in columns]
    return str((chosen["FIELD_DELIMITER"] or "").join(names) + (chosen["RECORD_DELIMITER"] or ""))


def _field(column: str, type_: str, chosen: Format) -> str:
    plain = _plain(column, type_, chosen)
    quote, escape = chosen["FIELD_OPTIONALLY_ENCLOSED_BY"], chosen["ESCAPE"]
    nothing = text_literal(chosen["NULL_IF"][0] if chosen["NULL_IF"] else "")
    if is_number(type_) or type_ == "BOOLEAN" or (quote is None and _is_plain_time(type_, chosen)):
        return f"COALESCE({plain}, {nothing})"
    if quote is None:
        escaped = _escaped(plain, escape or chosen["ESCAPE_UNENCLOSED_FIELD"], chosen)
        empty = '""' if chosen["EMPTY_FIELD_AS_NULL"] else ""
        written = f"CASE WHEN {plain} = '' THEN {text_literal(empty)} ELSE {escaped} END"
    else:
        escapes = {quote: quote * 2} if escape is None else {escape: escape * 2, quote: escape + quote}
        inner = plain
        for found, replacement in escapes.items():
            inner = f"replace({inner}, {text_literal(found)}, {text_literal(replacement)})"
        written = f"{text_literal(quote)} || {inner} || {text_literal(quote)}"
    return f"CASE WHEN {column} IS NULL THEN {nothing} ELSE {written} END"


def _is_plain_time(type_: str, chosen: Format) -> bool:
    """Whether a column holds dates or times in a format that contains no character to escape."""
    kind = next((kind for kind in ("DATE", "TIMESTAMP", "TIME") if type_.startswith(kind)), None)
    return (
        kind is not None and chosen[f"{kind}_FORMAT"] == "AUTO" and chosen["FIELD_DELIMITER"] in (",", "|", "\t", ";")
    )


def _escaped(plain: str, escape: str | None, chosen: Format) -> str:
    if escape is None:
        return plain
    signs = [escape, chosen["FIELD_DELIMITER"], chosen["RECORD_DELIMITER"], "\n", "\r"]
    found = plain
    for sign in (signs := [sign for sign in dict.fromkeys(signs) if sign]):
        found = f"replace({found}, {text_literal(sign)}, {text_literal(escape + sign)})"
    # Most values have no such character, and a search is cheaper than a replacement.
    needed = " OR ".join(f"contains({plain}, {text_literal(sign)})" for sign in signs)
    return f"CASE WHEN {needed} THEN {found} ELSE {plain} END"


def _plain(column: str, type_: str, chosen: Format) -> str:
    """The value's text before quoting and escaping."""
    if type_ == "VARCHAR":
        return column
    if type_.startswith(_NESTED) or type_.endswith("]"):
        return f"CAST(to_json({column}) AS VARCHAR)"
    if type_ in ("DOUBLE", "FLOAT"):
        return f"regexp_replace(CAST({column} AS VARCHAR), '[.]0$', '')"
    if type_ == "BLOB":
        return {"HEX": f"hex({column})", "BASE64": f"base64({column})"}.get(
            chosen["BINARY_FORMAT"], f"decode({column})"
        )
    if type_ == "DATE":
        return f"strftime({column}, {text_literal(_format(chosen['DATE_FORMAT'], _AUTO_DATE))})"
    if type_ == "TIME":
        return f"strftime(DATE '2000-01-01' + {column}, {text_literal(_format(chosen['TIME_FORMAT'], _AUTO_TIME))})"
    if type_ == "TIMESTAMP WITH TIME ZONE":
        shown = _format(chosen["TIMESTAMP_FORMAT"], f"{_AUTO_TIMESTAMP} {OFFSET}")
        return f"{macros.full_name('_formatted')}({column}::TIMESTAMP, {column}, {text_literal(shown)}, NULL)"
    if type_.startswith("TIMESTAMP"):
        shown = _format(chosen["TIMESTAMP_FORMAT"], _AUTO_TIMESTAMP)
        return f"strftime({column}, {text_literal(shown)})"
    return f"CAST({column} AS VARCHAR)"


def _format(written: str, auto: str) -> str:
    return auto if written == "AUTO" else directives(written)
