"""A record of the tests: each statement and call, whether it worked, and which parts of it are not supported.

The tables of ``docs/local-cloud.md`` are generated from this record: a statement is listed if a test runs it, and a limit if a test
receives its error message.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

from snowflake.connector.errors import ProgrammingError

DOCUMENT = Path(__file__).parents[2] / "docs/local-cloud.md"

_UNSUPPORTED = re.compile(r"The local (?:Snowflake|AWS) does not support (?P<what>.*?)\.?$", re.DOTALL)
_TEXTS = re.compile(r"'(?:[^'\\]|\\.|'')*'|\$\$.*?\$\$|--[^\n]*|/\*.*?\*/", re.DOTALL)
_MODIFIERS = {
    *(
        "OR",
        "REPLACE",
        "TEMP",
        "TEMPORARY",
        "TRANSIENT",
        "SCOPED",
        "LOCAL",
        "GLOBAL",
        "VOLATILE",
        "SECURE",
        "RECURSIVE",
    ),
    *("TERSE", "IF", "EXISTS", "NOT", "AND", "RESUME"),
}
# Kinds of object whose name is more than one word.
_LONG_KINDS = (
    *("EXTERNAL FUNCTIONS", "EXTERNAL FUNCTION", "STORAGE INTEGRATIONS", "STORAGE INTEGRATION", "API INTEGRATIONS"),
    *(
        "API INTEGRATION",
        "FILE FORMATS",
        "FILE FORMAT",
        "DYNAMIC TABLES",
        "DYNAMIC TABLE",
        "EVENT TABLES",
        "EVENT TABLE",
    ),
    *("USER FUNCTIONS", "PRIMARY KEYS", "FUTURE GRANTS", "SECONDARY ROLES"),
)
_WITH_KIND = {"CREATE", "ALTER", "DROP", "SHOW", "DESCRIBE", "USE", "UNDROP", "TRUNCATE"}
_SAME = {"DESC": "DESCRIBE", "LS": "LIST", "RM": "REMOVE", "WITH": "SELECT", "VALUES": "SELECT", "(": "SELECT"}
# Parts of a query that are worth a line of their own.
_CLAUSES = {
    "ASOF JOIN ... MATCH_CONDITION": r"\bASOF\s+JOIN\b",
    "QUALIFY": r"\bQUALIFY\b",
    "SAMPLE, TABLESAMPLE": r"\b(TABLE)?SAMPLE\b",
    "PIVOT, UNPIVOT": r"\b(UN)?PIVOT\b",
    "LATERAL FLATTEN": r"\bFLATTEN\s*\(",
    "window functions": r"\bOVER\s*\(",
    "recursive WITH": r"\bWITH\s+RECURSIVE\b",
    "TABLE(GENERATOR(...))": r"\bGENERATOR\s*\(",
    "TABLE(RESULT_SCAN(...))": r"\bRESULT_SCAN\s*\(",
    "TABLE(INFER_SCHEMA(...))": r"\bINFER_SCHEMA\s*\(",
    "TABLE(INFORMATION_SCHEMA.TASK_HISTORY(...))": r"\bTASK_HISTORY\s*\(",
    "TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(...))": r"\bQUERY_HISTORY(_BY_\w+)?\s*\(",
    "TABLE(INFORMATION_SCHEMA.COPY_HISTORY(...))": r"\bCOPY_HISTORY\s*\(",
    "queries over staged files": r"\bFROM\s+@",
    "SYSTEM$STREAM_HAS_DATA": r"SYSTEM\$STREAM_HAS_DATA",
    "SELECT * EXCLUDE, RENAME, REPLACE": r"\*\s*(EXCLUDE|RENAME|REPLACE|ILIKE)\b",
    "GROUP BY ALL, CUBE, ROLLUP, GROUPING SETS": r"\bGROUP\s+BY\s+(ALL|CUBE|ROLLUP|GROUPING)\b",
}
_SECTIONS = {"statements": "Statement", "queries": "In queries", "aws": "Call"}


class Surface:
    """A record that the servers' threads write to while ``recording`` is set."""

    def __init__(self) -> None:
        self.recording = False
        self._lock = threading.Lock()
        self._works: dict[str, set[str]] = defaultdict(set)
        self._unsupported: dict[tuple[str, str], set[str]] = defaultdict(set)

    def statement(self, sql: str, failure: ProgrammingError | None) -> None:
        """Record a statement: the ``observe`` callback of ``SnowflakeServer``."""
        plain = _TEXTS.sub("''", sql)
        names = [("statements", statement_name(plain))]
        if names[0][1] == "SELECT" or " AS SELECT" in plain.upper():
            names += [("queries", name) for name, clause in _CLAUSES.items() if re.search(clause, plain, re.IGNORECASE)]
        for section, name in names:
            self._saw(section, name, None if failure is None else str(failure.raw_msg or ""))

    def call(self, service: str, operation: str, parsed: dict[str, Any]) -> None:
        """Record a response that an AWS client received."""
        error = parsed.get("Error", {}).get("Message") if parsed["ResponseMetadata"]["HTTPStatusCode"] >= 400 else None
        self._saw("aws", f"{service}:{operation}", error)

    def record(self) -> dict[str, list[list[str]]]:
        """The record as plain values, which another process can :meth:`add`."""
        with self._lock:
            return {
                "works": [[section, name] for section, names in self._works.items() for name in names],
                "unsupported": [[*key, what] for key, found in self._unsupported.items() for what in found],
            }

    def add(self, record: dict[str, list[list[str]]]) -> None:
        """Merge the record of another process."""
        with self._lock:
            for section, name in record["works"]:
                self._works[section].add(name)
            for section, name, what in record["unsupported"]:
                self._unsupported[section, name].add(what)

    def _saw(self, section: str, name: str, error: str | None) -> None:
        if not self.recording:
            return
        found_limit = _UNSUPPORTED.search(error) if error else None
        with self._lock:
            if error is None:
                self._works[section].add(name)
            elif found_limit is not None:
                self._unsupported[section, name].add(" ".join(found_limit["what"].split()))

    def tables(self) -> str:
        """All tables as Markdown."""
        with self._lock:
            parts = []
            for section, title in _SECTIONS.items():
                limited = {name for found, name in self._unsupported if found == section}
                rows = [
                    f"| {name} | {'yes' if name in self._works[section] else 'no'} | {self._limits(section, name)} |"
                    for name in sorted(self._works[section] | limited)
                ]
                parts.append("\n".join([f"| {title} | Works | Not supported |", "|---|---|---|", *rows]))
        return "\n\n".join(parts)

    def _limits(self, section: str, name: str) -> str:
        return "; ".join(sorted(self._unsupported.get((section, name), ()))).replace("|", "\\|")


def statement_name(plain: str) -> str:
    """The statement's name in the tables, such as ``CREATE STAGE`` or ``COPY INTO location``. ``plain``: without literals."""
    words = re.findall(r"[A-Za-z_$][\w$]*|@|\(", plain.upper())
    verb = _SAME.get(words[0], words[0]) if words else ""
    if verb == "COPY":
        return (
            "COPY INTO location"
            if words[2:3] == ["@"] or re.match(r"\s*COPY\s+INTO\s+'", plain, re.I)
            else "COPY INTO table"
        )
    if verb not in _WITH_KIND:
        return verb
    rest = [word for word in words[1:] if word not in _MODIFIERS]
    two = " ".join(rest[:2])
    return f"{verb} {two if two in _LONG_KINDS else ' '.join(rest[:1])}"


def documented(text: str, tables: str) -> str:
    """``text`` with its generated part replaced by ``tables``."""
    head, mark, rest = text.partition("<!-- made by the contract suite -->")
    _, end, tail = rest.partition("<!-- end -->")
    assert end, f"{DOCUMENT.name} has no markers around the tables"
    return f"{head}{mark}\n\n{tables}\n\n{end}{tail}"


SEEN = Surface()
