"""Event tables as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.event_tables import grammar, statements, syntax
from localcloud.snowflake.objects.event_tables.state import Events, EventTable
from localcloud.snowflake.objects.feature import Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.store import SchemaObjects

EVENT_TABLE: SchemaKind[EventTable] = SchemaKind(
    word="EVENT TABLE",
    example="",
    listings={"EVENT TABLES": Listing(statements.COLUMNS, statements.row)},
    # Snowflake alters and drops event tables with ALTER TABLE and DROP TABLE.
    alterable=False,
    droppable=False,
    rows=True,
    among_tables=True,
)
FEATURE = Feature(
    kinds=(EVENT_TABLE,),
    created={
        "EVENT TABLE": SchemaCreated(
            rule=grammar.create_event_table,
            kind=EVENT_TABLE,
            definition=syntax.CreateEventTable,
            make=statements.make,
        )
    },
    rules=dict.fromkeys(
        (("ALTER", "ACCOUNT", "SET", "EVENT_TABLE"), ("ALTER", "ACCOUNT", "UNSET", "EVENT_TABLE")),
        grammar.alter_account,
    ),
    handlers={syntax.SetEventTable: statements.set_event_table},
    states=(lambda account, _: Events(account.state(SchemaObjects).of(EVENT_TABLE)),),
)
