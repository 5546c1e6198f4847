"""DuckDB relations over staged files.

As in Snowflake, columns are named ``$1``, ``$2`` and so on. The columns of a Parquet file are also available as
``$1:name``, so ``$1:name::FLOAT`` does not go through JSON.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.snowflake.failures import failure, unsupported
from localcloud.snowflake.files import parquet_times
from localcloud.snowflake.files.staged_files import StagedFile, unescape
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.sql.identifiers import quoted, text_literal

_MAX_DOCUMENT_BYTES = 128 * 2**20
# A control character that a text file does not contain, for reader options that must never match.
_NEVER_PRESENT = "\x01"
# Options of which only one value is supported when reading.
_SUPPORTED_VALUES: dict[str, dict[str, object]] = {
    "CSV": {
        "MULTI_LINE": True,
        "REPLACE_INVALID_CHARACTERS": False,
        "SKIP_BYTE_ORDER_MARK": True,
        "VALIDATE_UTF8": True,
    },
    "JSON": {
        **dict.fromkeys(("STRIP_NULL_VALUES", "ENABLE_OCTAL", "ALLOW_DUPLICATE", "IGNORE_UTF8_ERRORS"), False),
        **{"MULTI_LINE": True, "REPLACE_INVALID_CHARACTERS": False, "TRIM_SPACE": False, "NULL_IF": ()},
        "SKIP_BYTE_ORDER_MARK": True,
    },
    "PARQUET": {"REPLACE_INVALID_CHARACTERS": False, "TRIM_SPACE": False},
}
_LINE_ENDS = ("\n", "\r\n", "\r")


def _check(chosen: Format) -> None:
    for option, only in _SUPPORTED_VALUES[chosen.type].items():
        if chosen[option] != only:
            raise unsupported(f"the option {option} of {chosen.type} files when reading")


def relation(file: StagedFile, chosen: Format, columns: int) -> str:
    """SELECT over the file, for queries. ``columns`` is the number of columns needed from a CSV file; short rows are
    padded with NULL."""
    metadata = _metadata(file)
    if chosen.type == "PARQUET":
        own = [f"{quoted(name)} AS {quoted('$1:' + name)}" for name in parquet_names(file)]
        listed = ", ".join(['to_json(staged) AS "$1"', *own, *metadata])
        return f"SELECT {listed} FROM (SELECT * FROM {parquet_rows(file, chosen)}) AS staged"
    if chosen.type == "JSON":
        return f'SELECT json AS "$1", {", ".join(metadata)} FROM {json_documents(file, chosen)}'
    values = [f'{csv_value(number, file, chosen)} AS "${number}"' for number in range(1, columns + 1)]
    return f"SELECT {', '.join([*values, *metadata])} FROM {csv_rows(file, chosen, columns, lenient=True)}"


def _metadata(file: StagedFile) -> list[str]:
    modified = file.item.modified.strftime("%Y-%m-%d %H:%M:%S")
    return [
        f'{text_literal(file.name)} AS "METADATA$FILENAME"',
        'row_number() OVER () AS "METADATA$FILE_ROW_NUMBER"',
        f'{text_literal(file.item.etag)} AS "METADATA$FILE_CONTENT_KEY"',
        f'TIMESTAMP {text_literal(modified)} AS "METADATA$FILE_LAST_MODIFIED"',
        'now() AS "METADATA$START_SCAN_TIME"',
    ]


def parquet_names(file: StagedFile) -> list[str]:
    try:
        names: list[str] = pq.read_schema(file.path).names
    except (pa.ArrowException, OSError) as error:
        raise failure(
            100_152, "22000", f"Error parsing the Parquet file '{file.shown}': it is not a Parquet file."
        ) from error
    return names


def parquet_rows(file: StagedFile, chosen: Format) -> str:
    """A relation over the file, with times as Snowflake reads them."""
    _check(chosen)
    rows = f"read_parquet({text_literal(str(file.path))}, binary_as_string={str(chosen['BINARY_AS_TEXT']).lower()})"
    replaced = parquet_times.replacements(file.path, chosen)
    return f"(SELECT * REPLACE ({', '.join(replaced)}) FROM {rows})" if replaced else rows


def json_documents(file: StagedFile, chosen: Format) -> str:
    """``read_json_objects`` over the file, with one column named ``json``."""
    _check(chosen)
    with file.path.open("rb") as source:
        is_array = source.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
    layout = "array" if chosen["STRIP_OUTER_ARRAY"] and is_array else "unstructured"
    return (
        f"read_json_objects({text_literal(str(file.path))}, format='{layout}', compression='none', "
        f"maximum_object_size={_MAX_DOCUMENT_BYTES})"
    )


def csv_rows(
    file: StagedFile, chosen: Format, columns: int, *, lenient: bool, skip: int | None = None, rejects: str = ""
) -> str:
    """``read_csv`` over the file, with text columns named ``c1``, ``c2`` and so on.

    ``lenient``: rows with more or fewer fields are truncated or padded. ``rejects``: name of the table that stores rows
    that cannot be read; without one, such a row raises an error.
    """
    if chosen["RECORD_DELIMITER"] not in (*_LINE_ENDS, None):
        raise unsupported("a RECORD_DELIMITER other than a line break when files are read")
    _check(chosen)
    delimiter = chosen["FIELD_DELIMITER"] or _NEVER_PRESENT
    if len(delimiter.encode()) > 4:
        raise unsupported("a FIELD_DELIMITER of more than four bytes when files are read")
    quote = chosen["FIELD_OPTIONALLY_ENCLOSED_BY"] or ""
    if skip is None:
        skip = 1 if chosen["PARSE_HEADER"] else chosen["SKIP_HEADER"]
    names = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(1, columns + 1))
    options = [
        text_literal(str(file.path)),
        "auto_detect=false, header=false, compression='none', max_line_size=134217728",
        f"delim={text_literal(delimiter)}, quote={text_literal(quote)}, escape={text_literal(quote)}, skip={skip}",
        f"nullstr={text_literal('' if chosen['EMPTY_FIELD_AS_NULL'] else _NEVER_PRESENT)}, allow_quoted_nulls=false",
        f"columns={{{names}}}",
    ]
    if lenient:
        options.append(f"strict_mode=false, null_padding=true{', parallel=false' if quote else ''}")
    if rejects:
        options.append(f"store_rejects=true, rejects_table='{rejects}', rejects_scan='{rejects}_scan'")
    return f"read_csv({', '.join(options)})"


def csv_value(number: int, file: StagedFile, chosen: Format) -> str:
    """Column ``c<number>`` as Snowflake reads it: with escapes, TRIM_SPACE and NULL_IF applied."""
    value = unescape(f"c{number}", file.escaped)
    if chosen["TRIM_SPACE"]:
        value = f"trim({value})"
    return null_if(value, chosen["NULL_IF"])


def null_if(value: str, nothing: Sequence[str]) -> str:
    for word in nothing:
        if word:
            value = f"nullif({value}, {text_literal(word)})"
    return value


def header(file: StagedFile, chosen: Format) -> list[str]:
    """The names in a CSV file's first line."""
    with file.path.open(encoding="utf-8-sig", newline="") as lines:
        quote = chosen["FIELD_OPTIONALLY_ENCLOSED_BY"]
        delimiter = chosen["FIELD_DELIMITER"] or "\x01"
        if len(delimiter) > 1:
            return next(lines, "").rstrip("\r\n").split(delimiter)
        if quote:
            reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
        else:
            reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        return list(itertools.chain.from_iterable(itertools.islice(reader, 1)))
