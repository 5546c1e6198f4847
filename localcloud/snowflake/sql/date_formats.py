"""Translation of Snowflake's date and time formats, such as ``YYYY-MM-DD HH24:MI:SS.FF3``, to DuckDB's strftime
directives.

Formats without an equivalent in DuckDB are rejected.
"""

from __future__ import annotations

from localcloud.snowflake.failures import unsupported

#: Where the macro that formats a timestamp writes the offset of its time zone: ``+0900`` and ``+09:00``.
OFFSET, OFFSET_WITH_COLON = "\x01", "\x02"

_ELEMENTS = {
    "TZHTZM": OFFSET,
    "TZH:TZM": OFFSET_WITH_COLON,
    "YYYY": "%Y",
    "HH24": "%H",
    "HH12": "%I",
    "MMMM": "%B",
    "MON": "%b",
    "FF3": "%g",
    "FF6": "%f",
    "FF9": "%n",
    "FF0": "",
    "TZH": "%z",
    "YY": "%y",
    "MM": "%m",
    "DD": "%d",
    "DY": "%a",
    "MI": "%M",
    "SS": "%S",
    "AM": "%p",
    "PM": "%p",
    "FF": "%n",
}


def directives(written: str) -> str:
    """The equivalent strftime format. Text in double quotes and punctuation are kept."""
    left, found = written, ""
    while left:
        if left[0] == '"' and (end := left.find('"', 1)) > 0:
            found, left = found + left[1:end].replace("%", "%%"), left[end + 1 :]
            continue
        element = next((name for name in _ELEMENTS if left.upper().startswith(name)), None)
        if element is not None:
            found, left = found + _ELEMENTS[element], left[len(element) :]
        elif left[0].isalnum() and left[0] != "T":
            raise unsupported(f"the date and time format '{written}'")
        else:
            found, left = found + left[0].replace("%", "%%"), left[1:]
    return found
