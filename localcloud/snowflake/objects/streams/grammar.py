"""Grammar of CREATE, ALTER and DESCRIBE STREAM.

Streams on objects other than tables are not supported, nor are start points other than now or the offset of another
stream.
"""

from __future__ import annotations

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.objects.streams import syntax as ast
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream, boolean_option, text_option

_OPTIONS = {
    "APPEND_ONLY": boolean_option,
    "INSERT_ONLY": boolean_option,
    "SHOW_INITIAL_ROWS": boolean_option,
    "COMMENT": text_option,
}
_OTHER_SOURCES = ("VIEW", "EXTERNAL TABLE", "STAGE", "DYNAMIC TABLE", "EVENT TABLE")


def create_stream(stream: TokenStream, head: CreateHead) -> Statement:
    if stream.accept("WITH") or stream.words(1) == ("TAG",):
        raise unsupported("tags of streams")
    copies = stream.accept("COPY", "GRANTS")
    if copies and not head.or_replace:
        raise compilation(1003, "42000", "syntax error: COPY GRANTS requires OR REPLACE.")
    stream.expect("ON")
    for source in _OTHER_SOURCES:
        if stream.accept(*source.split()):
            raise unsupported(f"streams on {'an' if source[0] == 'E' else 'a'} {source}")
    stream.expect("TABLE")
    table = stream.name()
    at_stream = _start(stream)
    options = stream.options(_OPTIONS)
    if options.get("INSERT_ONLY"):
        raise compilation(2, "0A000", "INSERT_ONLY is only allowed for streams on external tables.")
    return head.make(
        ast.CreateStream,
        copy_grants=copies,
        table=table,
        at_stream=at_stream,
        append_only=options.get("APPEND_ONLY", False),
        show_initial_rows=options.get("SHOW_INITIAL_ROWS", False),
        comment=options.get("COMMENT"),
    )


def _start(stream: TokenStream) -> str | None:
    if stream.accept("BEFORE"):
        raise unsupported("BEFORE in CREATE STREAM; use AT (STREAM => 'name')")
    if not stream.accept("AT"):
        return None
    stream.expect("(")
    kind = stream.one_of("STREAM", "TIMESTAMP", "OFFSET", "STATEMENT")
    if kind != "STREAM":
        raise unsupported(f"AT ({kind} => ...) in CREATE STREAM; use AT (STREAM => 'name')")
    if not stream.accept("=>"):
        stream.expect("=")
        stream.expect(">")
    name = stream.string()
    stream.expect(")")
    return name
