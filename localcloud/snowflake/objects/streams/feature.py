"""Streams as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.streams import grammar, queries, statements, syntax
from localcloud.snowflake.objects.streams.state import Stream, Streams
from localcloud.snowflake.sessions.transaction import TransactionHooks

STREAM: SchemaKind[Stream] = SchemaKind(
    word="STREAM",
    example="ON TABLE source",
    listings={"STREAMS": Listing(statements.COLUMNS, statements.row)},
    description=Description(statements.COLUMNS, lambda session, found: [statements.row(session, found)]),
    refused={
        "SET TAG": "tags of streams",
        "UNSET TAG": "tags of streams",
        "SET APPEND_ONLY": "ALTER STREAM of anything but the comment",
        "SET INSERT_ONLY": "ALTER STREAM of anything but the comment",
    },
    clone=statements.clone,
    released=statements.release,
    among_tables=True,
)


def _transaction_hooks(streams: Streams) -> TransactionHooks:
    return TransactionHooks(streams.commit, streams.release)


FEATURE = Feature(
    kinds=(STREAM,),
    created={
        "STREAM": SchemaCreated(
            rule=grammar.create_stream, kind=STREAM, definition=syntax.CreateStream, make=statements.make
        )
    },
    states=(
        lambda account, _: Streams(account.clock, account.state(SchemaObjects).of(STREAM)),
        lambda account, _: _transaction_hooks(account.state(Streams)),
    ),
    statement_rewrites=(queries.rewrite_tables,),
    system_functions={
        "SYSTEM$STREAM_HAS_DATA": queries.has_data,
        "SYSTEM$STREAM_GET_TABLE_TIMESTAMP": queries.table_timestamp,
    },
)
