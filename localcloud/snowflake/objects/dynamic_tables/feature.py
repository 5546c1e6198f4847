"""Dynamic tables as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.dynamic_tables import grammar, statements, syntax
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable, DynamicTables
from localcloud.snowflake.objects.feature import Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.store import SchemaObjects

DYNAMIC_TABLE: SchemaKind[DynamicTable] = SchemaKind(
    word="DYNAMIC TABLE",
    example="TARGET_LAG = '1 hour' WAREHOUSE = COMPUTE_WH AS SELECT x FROM source",
    listings={"DYNAMIC TABLES": Listing(statements.COLUMNS, statements.row)},
    settings=grammar.settings,
    unsettable=frozenset(),
    actions=dict.fromkeys(("REFRESH", "SUSPEND", "RESUME"), lambda _: {}),
    refused={word: f"{word} in ALTER DYNAMIC TABLE" for word in ("RENAME", "SWAP", "UNSET", "CLUSTER")},
    alter=statements.alter,
    rows=True,
    among_tables=True,
)
FEATURE = Feature(
    kinds=(DYNAMIC_TABLE,),
    created={
        "DYNAMIC TABLE": SchemaCreated(
            rule=grammar.create_dynamic_table,
            modifiers=frozenset({"TRANSIENT"}),
            kind=DYNAMIC_TABLE,
            definition=syntax.CreateDynamicTable,
            make=statements.make,
        )
    },
    states=(lambda account, _: DynamicTables(account.clock, account.state(SchemaObjects).of(DYNAMIC_TABLE)),),
)
