"""Dynamic tables in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.dynamic_tables import grammar, statements, syntax
from localcloud.snowflake.objects.feature import Created, Shown, Subject

SUBJECT = Subject(
    rules={
        ("ALTER", "DYNAMIC", "TABLE"): grammar.alter_dynamic_table,
        ("DESCRIBE", "DYNAMIC", "TABLE"): grammar.describe_dynamic_table,
    },
    created={"DYNAMIC TABLE": Created(grammar.create_dynamic_table, modifiers=frozenset({"TRANSIENT"}))},
    dropped={"DYNAMIC TABLE": statements.drop_dynamic_table},
    shown={"DYNAMIC TABLES": Shown(statements.COLUMNS, statements.dynamic_tables)},
    nested={
        syntax.CreateDynamicTable: statements.create_dynamic_table,
        syntax.AlterDynamicTable: statements.alter_dynamic_table,
        syntax.DescribeDynamicTable: statements.describe_dynamic_table,
    },
    described={syntax.DescribeDynamicTable: statements.describe_dynamic_table},
)
