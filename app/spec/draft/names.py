"""Names in a drafted pipeline: what a column is called in YAML and SQL without quotes, and names that are free."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from app.spec.profile import ColumnProfile
from app.sql import identifier

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_]*")
#: Words that Snowflake does not take as a column's name without quotes.
KEYWORDS = re.compile(
    r"ALL|ALTER|AND|ANY|AS|BETWEEN|BY|CASE|CAST|CHECK|COLUMN|CONNECT|CONSTRAINT|CREATE|CROSS|CURRENT|"
    r"CURRENT_DATE|CURRENT_TIME|CURRENT_TIMESTAMP|CURRENT_USER|DELETE|DISTINCT|DROP|ELSE|EXISTS|FALSE|"
    r"FOLLOWING|FOR|FROM|FULL|GRANT|GROUP|HAVING|ILIKE|IN|INCREMENT|INNER|INSERT|INTERSECT|INTO|IS|"
    r"JOIN|LATERAL|LEFT|LIKE|LOCALTIME|LOCALTIMESTAMP|MINUS|NATURAL|NOT|NULL|OF|ON|OR|ORDER|QUALIFY|"
    r"REGEXP|REVOKE|RIGHT|RLIKE|ROW|ROWS|SAMPLE|SELECT|SET|SOME|START|TABLE|TABLESAMPLE|THEN|TO|"
    r"TRIGGER|TRUE|TRY_CAST|UNION|UNIQUE|UPDATE|USING|VALUES|WHEN|WHENEVER|WHERE|WITH"
)


def feature_name(name: str) -> str:
    """A name that every stage takes without quotes."""
    words = name if name.isupper() else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    clean = re.sub(r"[^A-Z0-9_]+", "_", words.upper()).strip("_") or "COLUMN"
    return f"C_{clean}" if clean[0].isdigit() else clean


def key_names(key: Sequence[ColumnProfile]) -> list[str]:
    found: list[str] = []
    for column in key:
        found.append(free_name(feature_name(column.name), found))
    return found


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number that makes it differ from the names that are taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def quoted(name: str) -> str:
    """A column as SQL writes it: plain where it can be."""
    return name.lower() if _PLAIN.fullmatch(name) and not KEYWORDS.fullmatch(name) else identifier(name)
