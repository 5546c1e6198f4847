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


def failure(errno: int, sqlstate: str, text: str) -> ProgrammingError:
    """An error with Snowflake's code and SQL state, for the caller to raise."""
    return ProgrammingError(msg=text, errno=errno, sqlstate=sqlstate)


def compilation(errno: int, sqlstate: str, text: str) -> ProgrammingError:
    """An error found before the statement ran, in Snowflake's form."""
    return failure(errno, sqlstate, f"SQL compilation error:\n{text}")


def unsupported(what: str) -> ProgrammingError:
    """The error for a feature that Snowflake has and this server lacks; code 000002 (0A000)."""
    return failure(UNSUPPORTED, "0A000", f"The local Snowflake does not support {what}.")


def syntax(text: str, sql: str = "", position: int = 0) -> ProgrammingError:
    """``unexpected 'X'`` at the line and column of ``position`` in ``sql``."""
    before = sql[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1)
    return compilation(SYNTAX, "42000", f"syntax error line {line} at position {column} {text}.")


def missing_object(name: str, kind: str = "Object") -> ProgrammingError:
    """The object does not exist; Snowflake reports a missing privilege the same way."""
    return compilation(UNKNOWN_OBJECT, "02000" if kind != "Object" else "42S02", _missing_text(kind, name))


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
    r'column "([^"]+)" (?:that )?does not exist',
)


def translate(error: duckdb.Error) -> ProgrammingError:
    """DuckDB's error as Snowflake's."""
    text = str(error).split("\n\nLINE ")[0].split("\nDid you mean")[0].strip()
    if isinstance(error, duckdb.CatalogException):
        return _catalog(text)
    if isinstance(error, duckdb.ParserException):
        return compilation(SYNTAX, "42000", f"syntax error line 1 at position 0 unexpected: {_reason(text)}")
    if isinstance(error, duckdb.BinderException):
        return _binder(text)
    if isinstance(error, duckdb.ConstraintException):
        return _constraint(text)
    return _execution(error, text)


def _reason(text: str) -> str:
    return text.partition(": ")[2].split("\n")[0] or text


def _catalog(text: str) -> ProgrammingError:
    if function := re.search(r"Function with name \"?([^\s\"]+)\"? does not exist", text):
        return compilation(2140, "42601", f"Unknown function {function[1].upper()}")
    if exists := re.search(r'with name "?([^\s"]+)"? already exists', text):
        return existing_object(exists[1].upper())
    for pattern, kind in _CATALOG:
        if match := re.search(pattern, text):
            name = (match[2] if match.re.groups == 2 else match[1]).upper()
            return missing_object(name, kind)
    return compilation(UNKNOWN_OBJECT, "42S02", _reason(text))


def _binder(text: str) -> ProgrammingError:
    for pattern in _COLUMN:
        if match := re.search(pattern, text):
            return invalid_identifier(match[1].upper())
    if match := re.search(r"Catalog \"([^\"]+)\" does not exist", text):
        return missing_object(match[1].upper(), "Database")
    if "must appear in the GROUP BY" in text:
        name = cast("re.Match[str]", re.search(r'column "([^"]+)"', text))[1]
        return compilation(979, "42601", f"[{name.upper()}] is not a valid group by expression")
    if counts := re.search(r"has (\d+) columns but (\d+) values were supplied", text):
        found = f"expected {counts[1]} but got {counts[2]}"
        return compilation(2020, "21S01", f"Insert value list does not match column list {found}")
    if re.search(r"Ambiguous reference to column", text):
        name = cast("re.Match[str]", re.search(r'"([^"]+)"', text))[1]
        return compilation(1104, "42601", f"ambiguous column name '{name.upper()}'")
    if "the expression has side effects" in text:
        return unsupported("reading the alias of a volatile call in the same SELECT; put the call into a subquery")
    if "Duplicate struct entry name" in text or "Duplicate named argument" in text:
        return failure(100_103, "22000", "Duplicate field key in OBJECT_CONSTRUCT")
    return compilation(2, "42601", _reason(text))


def _constraint(text: str) -> ProgrammingError:
    if "NOT NULL" in text:
        return failure(100_072, "22000", "NULL result in a non-nullable column")
    return failure(100_132, "22000", _reason(text))


def _execution(error: duckdb.Error, text: str) -> ProgrammingError:
    if "cannot affect the same target row more than once" in text:
        return failure(100_090, "42P18", "Duplicate row detected during DML action")
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
    if "hex digit" in text or "hex string" in text.lower():
        return failure(100_115, "22000", "The text is not a legal hex-encoded value: " + _reason(text))
    if "Malformed JSON" in text:
        return failure(100_069, "22P02", "Error parsing JSON: " + _reason(text))
    if "Failed to cast variant value" in text:
        return failure(100_071, "22000", _reason(text))
    if "Duplicate field key" in text:
        return failure(100_103, "22000", _reason(text))
    return failure(INTERNAL, "XX000", f"SQL execution error: {_reason(text)}")


def _conversion(text: str) -> ProgrammingError:
    value = re.search(r"(?:string|value|type \w+ with value|field format:) \"?'?(.*?)'?\"?(?: to | can't|$|,)", text)
    shown = value[1] if value else "?"
    if too_long := re.search(r"Text too long: (.*)' to INT32", text, re.DOTALL):
        return failure(100_078, "22000", f"String '{too_long[1]}' is too long and would be truncated")
    if "JSON" in text:
        return failure(100_069, "22P02", "Error parsing JSON: " + _reason(text))
    if re.search(r"timestamp|TIMESTAMP", text):
        return failure(100_035, "22007", f"Timestamp '{shown}' is not recognized")
    if re.search(r"date field|DATE", text):
        return failure(100_040, "22007", f"Date '{shown}' is not recognized")
    if re.search(r"BOOL", text):
        return failure(100_037, "22000", f"Boolean value '{shown}' is not recognized")
    return failure(100_038, "22018", f"Numeric value '{shown}' is not recognized")
