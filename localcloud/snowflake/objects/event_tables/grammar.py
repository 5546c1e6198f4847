"""Grammar of CREATE and DESCRIBE EVENT TABLE, and of ALTER ACCOUNT SET EVENT_TABLE."""

from __future__ import annotations

from localcloud.snowflake.objects.event_tables import syntax as ast
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream, text_option


def create_event_table(stream: TokenStream, head: CreateHead) -> Statement:
    return head.make(ast.CreateEventTable, comment=stream.options({"COMMENT": text_option}).get("COMMENT"))


def alter_account(stream: TokenStream) -> Statement:
    stream.expect("ALTER", "ACCOUNT")
    action = stream.one_of("SET", "UNSET")
    stream.expect("EVENT_TABLE")
    if action == "UNSET":
        return ast.SetEventTable(None)
    stream.expect("=")
    return ast.SetEventTable(stream.name())
