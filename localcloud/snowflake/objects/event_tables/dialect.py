"""Event tables in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.event_tables import grammar, statements, syntax
from localcloud.snowflake.objects.feature import Created, Shown, Subject

SUBJECT = Subject(
    rules={
        ("ALTER", "ACCOUNT"): grammar.alter_account,
        ("DESCRIBE", "EVENT", "TABLE"): grammar.describe_event_table,
    },
    created={"EVENT TABLE": Created(grammar.create_event_table)},
    shown={"EVENT TABLES": Shown(statements.COLUMNS, statements.event_tables)},
    handlers={
        syntax.SetEventTable: statements.set_event_table,
    },
    nested={
        syntax.CreateEventTable: statements.create_event_table,
        syntax.DescribeEventTable: statements.describe_event_table,
    },
    described={syntax.DescribeEventTable: statements.describe_event_table},
)
