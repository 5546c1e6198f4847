"""Streams as a feature."""

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.streams import grammar, statements, syntax
from localcloud.snowflake.objects.streams.state import Stream

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
FEATURE = Feature(
    kinds=(STREAM,),
    created={
        "STREAM": SchemaCreated(
            rule=grammar.create_stream, kind=STREAM, definition=syntax.CreateStream, make=statements.make
        )
    },
)
