"""Errors with Snowflake's texts, codes and SQL states, as the connector raises them.

DuckDB distinguishes errors only by their messages, so the translation reads messages.
"""

from __future__ import annotations

import re
from typing import cast

import duckdb
from snowflake.connector.errors import ProgrammingError

UNSUPPORTED = 2
SYNTAX = 1003
UNKNOWN_OBJECT = 2003
INTERNAL = 300_002
NULL_RESULT = "NULL result in a non-nullable column"


def failure(errno: int, sqlstate: str, text: str) -> ProgrammingError:
    """An error with Snowflake's code and SQL state, for the caller to raise."""
    return ProgrammingError(msg=text, errno=errno, sqlstate=sqlstate)


def compilation(errno: int, sqlstate: str, text: str) -> ProgrammingError:
    """An error found before the statement ran, in Snowflake's form."""
    return failure(errno, sqlstate, f"SQL compilation error:\n{text}")


def unsupported(what: str) -> ProgrammingError:
    """The error for a feature that Snowflake has and this server lacks; code 000002 (0A000)."""
    return failure(UNSUPPORTED, "0A000", f"{REFUSAL}{what}.")


#: The beginning of a message by which SQL of the server's own, run by DuckDB, refuses a value: ``error('...')``.
REFUSAL = "The local Snowflake does not support "


def refusal(error: duckdb.Error) -> ProgrammingError | None:
    """The refusal that SQL of the server's own raised."""
    found = re.search(re.escape(REFUSAL) + r"(.*?)\.?$", str(error), re.MULTILINE)
    return unsupported(found[1]) if found else None


def syntax(text: str, sql: str = "", position: int = 0) -> ProgrammingError:
    """``unexpected 'X'`` at the line and column of ``position`` in ``sql``."""
    before = sql[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1)
    return compilation(SYNTAX, "42000", f"syntax error line {line} at position {column} {text}.")


def missing_object(name: str, kind: str = "Object") -> ProgrammingError:
    """The object does not exist; Snowflake reports a missing privilege the same way."""
    return compilation(UNKNOWN_OBJECT, "02000" if kind != "Object" else "42S02", _missing_text(kind, name))


_PART = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_MISSING = re.compile(r"Object '([^'.]+)' does not exist")


def as_written(error: ProgrammingError, sql: str, database: str | None) -> ProgrammingError:
    """The error about a missing table with the table's full name, where the statement writes its schema."""
    found = _MISSING.search(str(error.raw_msg)) if error.errno == UNKNOWN_OBJECT else None
    if found is None:
        return error
    for written in re.finditer(rf"(?<![\w$.\"])((?:{_PART}\.){{1,2}}){_PART}", sql):
        parts = [
            part[1:-1].replace('""', '"') if part[0] == '"' else part.upper()
            for part in re.findall(_PART, written.group())
        ]
        if parts[-1].upper() == found[1]:
            parts = [database, *parts] if len(parts) == 2 and database else parts
            return missing_object(".".join(parts))
    return error


def existing_object(name: str) -> ProgrammingError:
    return compilation(2002, "42710", f"Object '{name}' already exists.")


def _missing_text(kind: str, name: str) -> str:
    return f"{kind} '{name}' does not exist or not authorized."


def invalid_identifier(name: str) -> ProgrammingError:
    return compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{name}'")


_CATALOG = (
    (r'"([^"]+)" does not exist because schema "([^"]+)" does not exist', "Schema"),
    (r"Schema with name (\S+?) does not exist", "Schema"),
    (r"Catalog \"?([^\s\"]+)\"? does not exist", "Database"),
    (r"Catalog with name (\S+?) does not exist", "Database"),
    (r"(?:Table|View|Sequence|Index) with name \"?([^\s\"!]+)\"? does not exist", "Object"),
)
_COLUMN = (
    r'Referenced column "([^"]+)" not found',
    r'does not have a column (?:named|with name) "([^"]+)"',
    r'Referenced table "([^"]+)" not found',
    r'Column with name "?(\w+)"? does not exist',
    r'Column "([^"]+)" does not exist on \w+ side of join',
    r'Column "([^"]+)" in (?:EXCLUDE|REPLACE|RENAME) list not found',
    r'column "([^"]+)" (?:that )?does not exist',
)


def translate(error: duckdb.Error) -> ProgrammingError:
    """DuckDB's error as Snowflake's."""
    if (refused := refusal(error)) is not None:
        return refused
    text = str(error).split("\n\nLINE ")[0].split("\nDid you mean")[0].strip()
    if isinstance(error, duckdb.CatalogException):
        return _catalog(text)
    if isinstance(error, duckdb.ParserException) and re.search(r"Frame (?:starting|ending|start|end)", text):
        return compilation(2303, "42601", f"error line 1 at position 0\nInvalid window frame: {_reason(text)}")
    if isinstance(error, duckdb.ParserException):
        return compilation(SYNTAX, "42000", f"syntax error line 1 at position 0 unexpected: {_reason(text)}")
    if isinstance(error, duckdb.BinderException):
        return _binder(text)
    if isinstance(error, duckdb.ConstraintException):
        return _constraint(text)
    return _execution(error, text)


#: The suffix of a name that differs from another one only in case (``tables.letter_case``).
SPELLED = re.compile(r"\u2060[0-9a-fA-F]+")


def _shown_name(name: str) -> str:
    """The name as errors show it: in upper case, or as it is in quotes if it is known to have lower-case letters."""
    plain = SPELLED.sub("", name)
    return name.upper() if plain == name else f'"{plain}"'


def _reason(text: str) -> str:
    return SPELLED.sub("", text.partition(": ")[2].split("\n")[0] or text)


def _catalog(text: str) -> ProgrammingError:
    if function := re.search(r"Function with name \"?([^\s\"]+)\"? does not exist", text):
        return compilation(2140, "42601", f"Unknown function {function[1].upper()}")
    if exists := re.search(r'with name "?([^\s"]+)"? already exists', text):
        return existing_object(exists[1].upper())
    for pattern, kind in _CATALOG:
        if match := re.search(pattern, text):
            name = SPELLED.sub("", match[2] if match.re.groups == 2 else match[1])
            return missing_object(name.upper(), kind)
    return compilation(UNKNOWN_OBJECT, "42S02", _reason(text))


# Aggregates where none is allowed: DuckDB's text, and Snowflake's.
_MISPLACED = {
    "WHERE clause cannot contain aggregates": "Invalid aggregate function in where clause",
    "GROUP BY clause cannot contain aggregates": "An aggregate is not a valid group by expression",
    "GROUPING statement cannot be used without groups": "GROUPING function without a GROUP BY",
    "GROUPING function is not supported here": "GROUPING function without a GROUP BY",
}


def _binder(text: str) -> ProgrammingError:
    for pattern in _COLUMN:
        if match := re.search(pattern, text):
            return invalid_identifier(_shown_name(match[1]))
    if match := re.search(r"Catalog \"([^\"]+)\" does not exist", text):
        return missing_object(match[1].upper(), "Database")
    if "must appear in the GROUP BY" in text:
        name = cast("re.Match[str]", re.search(r'column "([^"]+)"', text))[1]
        return compilation(979, "42601", f"[{_shown_name(name)}] is not a valid group by expression")
    for found, shown in _MISPLACED.items():
        if found in text:
            return compilation(979, "42601", shown)
    if counts := re.search(r"has (\d+) columns but (\d+) values were supplied", text):
        found = f"expected {counts[1]} but got {counts[2]}"
        return compilation(2020, "21S01", f"Insert value list does not match column list {found}")
    if re.search(r"Ambiguous reference to column", text):
        name = cast("re.Match[str]", re.search(r'"([^"]+)"', text))[1]
        return compilation(1104, "42601", f"ambiguous column name '{_shown_name(name)}'")
    if re.search(r"Macro _\w+\(\) does not support the supplied arguments", text):
        return compilation(
            1044, "42P13", "error line 1 at position 0\nInvalid argument types for an arithmetic expression"
        )
    if clause := re.search(r"(\w+) clause cannot contain window functions", text):
        return compilation(
            2303,
            "42601",
            f"Window function in the {clause[1]} clause appears outside of SELECT, QUALIFY, and ORDER BY clauses.",
        )
    if re.search(r"argument types '[-+]\((?!DATE|TIME)\w+(?:\(.*?\))?, INTERVAL\)'", text):
        return compilation(
            2303, "42601", "Window function with a numeric ORDER BY clause only allows numeric window frame boundaries."
        )
    if "resulted in an empty set of columns" in text:
        return compilation(1080, "42601", "error line 1 at position 0\nSELECT with no columns")
    if "multiple overloads that match" in text:
        return compilation(904, "42000", "error line 1 at position 0\ninvalid identifier in an arithmetic expression")
    if "the expression has side effects" in text:
        return unsupported("reading the alias of a volatile call in the same SELECT; put the call into a subquery")
    if "Duplicate struct entry name" in text or "Duplicate named argument" in text:
        return failure(100_103, "22000", "Duplicate field key in OBJECT_CONSTRUCT")
    return compilation(2, "42601", _reason(text))


def _constraint(text: str) -> ProgrammingError:
    if "NOT NULL" in text:
        return failure(100_072, "22000", NULL_RESULT)
    return failure(100_132, "22000", _reason(text))


def _execution(error: duckdb.Error, text: str) -> ProgrammingError:
    if "cannot affect the same target row more than once" in text:
        return failure(100_090, "42P18", "Duplicate row detected during DML action")
    if NULL_RESULT in text:
        return failure(100_072, "22000", NULL_RESULT)
    if boolean := re.search(r"Function \w+ does not support BOOLEAN argument type", text):
        return compilation(1065, "22023", f"error line 1 at position 0\n{boolean[0]}")
    if "Division by zero" in text:
        return failure(100_051, "22012", "Division by zero")
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException):
        return _conversion(text)
    if isinstance(error, duckdb.InterruptException):
        return failure(604, "57014", "SQL execution canceled")
    if isinstance(error, duckdb.TransactionException) and "aborted" in text:
        return failure(
            90_232,
            "25000",
            "The local Snowflake cannot continue a transaction after this failed statement; roll it back.",
        )
    if isinstance(error, duckdb.TransactionException):
        return failure(625, "57014", "Statement has locked table; the transaction lost against another one.")
    if unread := re.search(r'Could not parse string "(.*?)" according to format', text, re.DOTALL):
        return _unfit(unread[1])
    if "ntile must be greater" in text:
        return failure(100_047, "22023", "NTILE argument must be at least 1")
    if "hex digit" in text or "hex string" in text.lower():
        return failure(100_115, "22000", "The text is not a legal hex-encoded value: " + _reason(text))
    if re.search(r"repetition operator|missing [])]|invalid (?:escape|perl|character class)|trailing \\", text):
        return failure(100_048, "2201B", f"Invalid regular expression: {_reason(text)}")
    if "Malformed JSON" in text:
        return failure(100_069, "22P02", "Error parsing JSON: " + _reason(text))
    if "Failed to cast variant value" in text:
        return failure(100_071, "22000", _reason(text))
    if "Duplicate field key" in text:
        return failure(100_103, "22000", _reason(text))
    return failure(INTERNAL, "XX000", f"SQL execution error: {_reason(text)}")


def _unfit(text: str) -> ProgrammingError:
    """A text that its format does not read."""
    return failure(100_096, "22007", f"Can't parse '{text}' as date or time with the given format")


def _conversion(text: str) -> ProgrammingError:
    value = re.search(r"(?:string|value|type \w+ with value|field format:) \"?'?(.*?)'?\"?(?: to | can't|$|,)", text)
    shown = value[1] if value else "?"
    if too_long := re.search(r"Text too long: (.*)' to INT32", text, re.DOTALL):
        return failure(100_078, "22000", f"String '{too_long[1]}' is too long and would be truncated")
    if other := re.search(r"Text in another format: (.*)' to INT32", text, re.DOTALL):
        return _unfit(other[1])
    if undefined := re.search(r"'Invalid operation: (.*?)' to INT32", text):
        return failure(100_043, "22003", f"Invalid floating point operation: {undefined[1]}")
    if wrong := re.search(r"'Invalid argument types for function (\w+)' to INT32", text):
        return compilation(
            1044, "42P13", f"error line 1 at position 0\nInvalid argument types for function '{wrong[1]}'"
        )
    if "JSON" in text:
        return failure(100_069, "22P02", "Error parsing JSON: " + _reason(text))
    if re.search(r"timestamp|TIMESTAMP|Unknown TimeZone", text):
        return failure(100_035, "22007", f"Timestamp '{shown}' is not recognized")
    if re.search(r"date field|DATE", text):
        return failure(100_040, "22007", f"Date '{shown}' is not recognized")
    if re.search(r"BOOL", text):
        return failure(100_037, "22000", f"Boolean value '{shown}' is not recognized")
    return failure(100_038, "22018", f"Numeric value '{shown}' is not recognized")
