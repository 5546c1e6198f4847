"""Grammar of stages and file formats, and of LIST, REMOVE, PUT and GET.

In SQL ``//`` starts a comment, so a regular expression extracts the ``file://`` path of PUT and GET, and only their
options are tokenized.
"""

from __future__ import annotations

import re
from typing import Any

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import OPTIONS, file_format_option, typed
from localcloud.snowflake.sql.syntax import StagePath, Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    name_option,
    require_options,
    text_option,
    unsupported_option,
    wrong_value,
)

_LOCAL = r"(?:'file://(?P<quoted>(?:[^'\\]|\\.|'')*)'|file://(?P<plain>[^\s;']+))"
_STAGE = r"(?P<stage>@(?:\"[^\"]*\"|[^\s;\"])+|'@(?:[^'\\]|\\.|'')*')"
_COMMENT = r"(?:\s|/\*.*?\*/)*"
_GAP = r"(?:\s|/\*.*?\*/)+"
_PUT = re.compile(rf"{_COMMENT}PUT{_GAP}{_LOCAL}\s+{_STAGE}(?P<options>.*)", re.IGNORECASE | re.DOTALL)
_GET = re.compile(rf"{_COMMENT}GET{_GAP}{_STAGE}\s+{_LOCAL}(?P<options>.*)", re.IGNORECASE | re.DOTALL)
_COMPRESSIONS = ("AUTO_DETECT", "GZIP", "BZ2", "BROTLI", "ZSTD", "DEFLATE", "RAW_DEFLATE", "NONE")
_PUT_OPTIONS: dict[str, OptionParser] = {
    "PARALLEL": integer_option(1, 99),
    "AUTO_COMPRESS": boolean_option,
    "SOURCE_COMPRESSION": choice_option(*_COMPRESSIONS),
    "OVERWRITE": boolean_option,
}
_GET_OPTIONS: dict[str, OptionParser] = {"PARALLEL": integer_option(1, 99), "PATTERN": text_option}


def _directory(stream: TokenStream, _name: str) -> bool:
    """``(ENABLE = TRUE ..)``. The value is stored and shown, but directory tables are not supported."""
    stream.expect("(")
    known = {"ENABLE": boolean_option, "AUTO_REFRESH": boolean_option, "REFRESH_ON_CREATE": boolean_option}
    options = stream.options(known)
    stream.expect(")")
    return bool(options.get("ENABLE"))


def _encryption(stream: TokenStream, _name: str) -> str:
    stream.expect("(")
    kinds = choice_option("SNOWFLAKE_FULL", "SNOWFLAKE_SSE", "AWS_SSE_S3", "AWS_SSE_KMS", "NONE")
    options = stream.options({"TYPE": kinds, "KMS_KEY_ID": text_option})
    stream.expect(")")
    require_options(options, "TYPE")
    return str(options["TYPE"])


_STAGE_OPTIONS: dict[str, OptionParser] = {
    "URL": text_option,
    "STORAGE_INTEGRATION": name_option,
    "FILE_FORMAT": file_format_option,
    "DIRECTORY": _directory,
    "ENCRYPTION": _encryption,
    "COMMENT": text_option,
    **dict.fromkeys(("CREDENTIALS", "COPY_OPTIONS", "ENDPOINT", "USE_PRIVATELINK_ENDPOINT"), unsupported_option),
}
_INTERNAL_ENCRYPTION = ("SNOWFLAKE_FULL", "SNOWFLAKE_SSE")


def check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error:
        raise wrong_value("PATTERN", pattern) from None


def create_stage(stream: TokenStream, head: CreateHead) -> Statement:
    options = stream.options(_STAGE_OPTIONS)
    encryption = options.get("ENCRYPTION")
    if "URL" in options:
        require_options(options, "STORAGE_INTEGRATION")
    elif "STORAGE_INTEGRATION" in options:
        require_options(options, "URL")
    if encryption is not None and ("URL" in options) == (encryption in _INTERNAL_ENCRYPTION):
        raise wrong_value("ENCRYPTION", encryption)
    fields = {name.lower(): value for name, value in options.items() if name != "COMMENT"}
    return head.make(ast.CreateStage, comment=options.get("COMMENT"), **fields)


def stage_settings(stream: TokenStream) -> Options:
    return stream.options(_STAGE_OPTIONS)


def create_file_format(stream: TokenStream, head: CreateHead) -> Statement:
    options = stream.options({**OPTIONS, "COMMENT": text_option})
    comment = options.pop("COMMENT", None)
    return head.make(
        ast.CreateFileFormat,
        comment=comment,
        format=typed({"TYPE": "CSV", **options}),
    )


def file_format_settings(stream: TokenStream) -> Options:
    options = stream.options({**OPTIONS, "COMMENT": text_option})
    if "TYPE" in options:
        raise compilation(1420, "22023", "invalid parameter 'TYPE'")
    return options


def list_or_remove(stream: TokenStream) -> Statement:
    word = stream.one_of("LIST", "LS", "REMOVE", "RM")
    location = stream.stage_path()
    pattern = stream.options({"PATTERN": text_option}).get("PATTERN")
    if pattern is not None:
        check_pattern(pattern)
    make = ast.ListStage if word in ("LIST", "LS") else ast.RemoveStage
    return make(location, pattern)


def put(stream: TokenStream) -> Statement:
    source, location, options = _transfer(stream, _PUT, _PUT_OPTIONS)
    return ast.Put(source, location, **options)


def get(stream: TokenStream) -> Statement:
    target, location, options = _transfer(stream, _GET, _GET_OPTIONS)
    if "pattern" in options:
        check_pattern(options["pattern"])
    return ast.Get(location, target, **options)


def _transfer(
    stream: TokenStream, pattern: re.Pattern[str], known: dict[str, OptionParser]
) -> tuple[str, StagePath, dict[str, Any]]:
    """The client's path, the stage location, and the options by field name. Consumes the rest of ``stream``."""
    found = pattern.fullmatch(stream.sql)
    if found is None:
        raise compilation(1003, "42000", f"syntax error: {stream.words(1)[0]} requires file://path and @stage.")
    stage = TokenStream(found["stage"])
    location = stage.stage_path()
    stage.end()
    tail = TokenStream(found["options"])
    options = {name.lower(): value for name, value in tail.options(known).items()}
    tail.end()
    stream.skip_rest()
    path = found["plain"] or re.sub(r"\\(.)|''", lambda part: part[1] or "'", found["quoted"])
    return path, location, options
