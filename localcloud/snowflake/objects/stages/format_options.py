"""File format options: the options of each type, their defaults and their parsers.

COPY without a format reads CSV. A stage's own format applies only if the statement names none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.state import StageState
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    text_option,
    word_option,
    wrong_value,
)

_TYPES = ("CSV", "JSON", "AVRO", "ORC", "PARQUET", "XML")
_TEXT_COMPRESSIONS = ("AUTO", "GZIP", "BZ2", "BROTLI", "ZSTD", "DEFLATE", "RAW_DEFLATE", "NONE")
_TEXT: dict[str, Any] = {"COMPRESSION": "AUTO", "BINARY_FORMAT": "HEX", "FILE_EXTENSION": None}
_MOMENTS: dict[str, Any] = {"DATE_FORMAT": "AUTO", "TIME_FORMAT": "AUTO", "TIMESTAMP_FORMAT": "AUTO"}
_COMMON: dict[str, Any] = {"TRIM_SPACE": False, "REPLACE_INVALID_CHARACTERS": False}
DEFAULTS: dict[str, dict[str, Any]] = {
    "CSV": {
        "RECORD_DELIMITER": "\n",
        "FIELD_DELIMITER": ",",
        "SKIP_HEADER": 0,
        "PARSE_HEADER": False,
        "SKIP_BLANK_LINES": False,
        "MULTI_LINE": True,
        "ESCAPE": None,
        "ESCAPE_UNENCLOSED_FIELD": "\\",
        "FIELD_OPTIONALLY_ENCLOSED_BY": None,
        "NULL_IF": ("\\N",),
        "ERROR_ON_COLUMN_COUNT_MISMATCH": True,
        "EMPTY_FIELD_AS_NULL": True,
        "SKIP_BYTE_ORDER_MARK": True,
        "ENCODING": "UTF8",
        "VALIDATE_UTF8": True,
        **_TEXT,
        **_MOMENTS,
        **_COMMON,
    },
    "JSON": {
        "NULL_IF": (),
        "MULTI_LINE": True,
        "ENABLE_OCTAL": False,
        "ALLOW_DUPLICATE": False,
        "STRIP_OUTER_ARRAY": False,
        "STRIP_NULL_VALUES": False,
        "IGNORE_UTF8_ERRORS": False,
        "SKIP_BYTE_ORDER_MARK": True,
        **_TEXT,
        **_MOMENTS,
        **_COMMON,
    },
    "PARQUET": {
        "COMPRESSION": "AUTO",
        "SNAPPY_COMPRESSION": True,
        "BINARY_AS_TEXT": True,
        "USE_LOGICAL_TYPE": False,
        "USE_VECTORIZED_SCANNER": False,
        "NULL_IF": ("\\N",),
        **_COMMON,
    },
}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\\": "\\", "'": "'", '"': '"'}
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|0x([0-9A-Fa-f]{2})|\\([0-7]{3})|\\([tnrbf0\\'\"])")


@dataclass(frozen=True)
class Format:
    """A file format with a value for every option of its type."""

    type: str
    options: Mapping[str, Any]

    def __getitem__(self, option: str) -> Any:
        return self.options[option]


def _character(text: str) -> str:
    """A delimiter with common escape sequences, octal (``\\\\054``) and hex (``0x2c``) values resolved."""

    def value(found: re.Match[str]) -> str:
        if code := found[1] or found[2]:
            return chr(int(code, 16))
        return chr(int(found[3], 8)) if found[3] else _ESCAPES[found[4]]

    return _ESCAPE.sub(value, text)


def _character_option(*, longest: int, none: str | None = None) -> OptionParser:
    """A delimiter or quote character; the word NONE means ``none``."""

    def parse(stream: TokenStream, name: str) -> str | None:
        if stream.accept("NONE"):
            return none
        written = text_option(stream, name)
        if written.upper() == "NONE":
            return none
        value = _character(written)
        if not 0 < len(value) <= longest:
            raise wrong_value(name, written)
        return value

    return parse


def _text_or(*words: str) -> OptionParser:
    """A text or one of the words in upper case; the word NONE becomes ``None``."""

    def parse(stream: TokenStream, name: str) -> str | None:
        for word in words:
            if stream.accept(word):
                return None if word == "NONE" else word
        value = text_option(stream, name)
        return value.upper() if value.upper() in words else value

    return parse


def _texts(stream: TokenStream, _name: str) -> tuple[str, ...]:
    """``('a', 'b')``, ``()`` or a single text."""
    if stream.words(1) != ("(",):
        return (stream.string(),)
    if stream.accept("(", ")"):
        return ()
    return stream.strings()


_MOMENT = _text_or("AUTO")
_PARSERS: dict[str, OptionParser] = {
    **dict.fromkeys((name for options in DEFAULTS.values() for name in options), boolean_option),
    "RECORD_DELIMITER": _character_option(longest=20),
    "FIELD_DELIMITER": _character_option(longest=20),
    "ESCAPE": _character_option(longest=1),
    "ESCAPE_UNENCLOSED_FIELD": _character_option(longest=1),
    "FIELD_OPTIONALLY_ENCLOSED_BY": _character_option(longest=1),
    "SKIP_HEADER": integer_option(0, 2**31 - 1),
    "DATE_FORMAT": _MOMENT,
    "TIME_FORMAT": _MOMENT,
    "TIMESTAMP_FORMAT": _MOMENT,
    "FILE_EXTENSION": _text_or("NONE"),
    "BINARY_FORMAT": choice_option("HEX", "BASE64", "UTF8", "UTF-8"),
    "NULL_IF": _texts,
    "ENCODING": word_option,
    "COMPRESSION": word_option,
}
_COMPRESSIONS = {
    "CSV": choice_option(*_TEXT_COMPRESSIONS),
    "JSON": choice_option(*_TEXT_COMPRESSIONS),
    # The documentation of CREATE FILE FORMAT does not list GZIP, but the connector's write_pandas uses it.
    "PARQUET": choice_option("AUTO", "LZO", "SNAPPY", "GZIP", "NONE"),
}


OPTIONS: Mapping[str, OptionParser] = {"TYPE": choice_option(*_TYPES), **_PARSERS}


def typed(options: dict[str, Any]) -> ast.FileFormat:
    """The file format of parsed options, which include TYPE."""
    kind = options.pop("TYPE", None)
    if kind is None:
        raise compilation(2029, "42601", "Missing option(s): [TYPE]")
    if kind not in DEFAULTS:
        raise unsupported(f"the file format {kind}, only CSV, JSON and PARQUET")
    return ast.FileFormat(kind, checked(kind, options))


def checked(type_: str, options: dict[str, Any]) -> dict[str, Any]:
    """Validate options: raises if the type has no option of that name, or for a value that the server does not support."""
    for name, value in options.items():
        if name not in DEFAULTS[type_]:
            raise compilation(1420, "22023", f"invalid parameter '{name}'")
        if name == "COMPRESSION":
            options[name] = _COMPRESSIONS[type_](TokenStream(f"'{value}'"), name)
    if options.get("COMPRESSION") in ("LZO", "RAW_DEFLATE"):
        raise unsupported(f"{options['COMPRESSION']} compression")
    if str(options.get("ENCODING") or "UTF8").upper().replace("-", "") != "UTF8":
        raise unsupported(f"the encoding {options['ENCODING']}, only UTF-8")
    return options


def file_format_option(stream: TokenStream, _name: str) -> ast.FormatChoice:
    """``(TYPE = .. options)``, ``(FORMAT_NAME = name)``, or only a name, which may be quoted as a text."""
    if not stream.accept("("):
        return ast.NamedFormat(_format_name(stream))
    if stream.words(1) == ("FORMAT_NAME",):
        stream.expect("FORMAT_NAME", "=")
        name = _format_name(stream)
        stream.accept(",")
        options = stream.options(_PARSERS)
        stream.expect(")")
        return ast.NamedFormat(name, options)
    options = stream.options(OPTIONS)
    stream.expect(")")
    return typed(options)


def _format_name(stream: TokenStream) -> Any:
    text = stream.literal()
    if text is None:
        return stream.name()
    inner = TokenStream(text)
    name = inner.name()
    inner.end()
    return name


def completed(written: ast.FileFormat) -> Format:
    options = {**DEFAULTS[written.type], **written.options}
    if written.type == "PARQUET" and options["SNAPPY_COMPRESSION"] is False and options["COMPRESSION"] == "AUTO":
        options["COMPRESSION"] = "NONE"
    if options.get("USE_VECTORIZED_SCANNER"):
        # The vectorized scanner ignores what these two are set to.
        options |= {"USE_LOGICAL_TYPE": True, "BINARY_AS_TEXT": False}
    if options.get("PARSE_HEADER") and options["SKIP_HEADER"]:
        raise compilation(
            1008, "22023", "Invalid file format 'PARSE_HEADER' option used with SKIP_HEADER. Only one can be set."
        )
    return Format(written.type, options)


def resolved(session: Session, choice: ast.FormatChoice, of_stage: ast.FormatChoice = None) -> Format:
    """The format of a statement: its own, otherwise the stage's, otherwise CSV."""
    found = choice if choice is not None else of_stage
    if found is None:
        return completed(ast.FileFormat("CSV"))
    if isinstance(found, ast.FileFormat):
        return completed(found)
    named = session.account.state(StageState).formats.require(session.id, session.path(found.name)).format
    return completed(ast.FileFormat(named.type, {**named.options, **checked(named.type, dict(found.options))}))
