"""Streams in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.feature import Created, Shown, Subject
from localcloud.snowflake.objects.streams import grammar, statements, syntax
from localcloud.snowflake.result import DESCRIBE

SUBJECT = Subject(
    rules={
        ("ALTER", "STREAM"): grammar.alter_stream,
        ("DESCRIBE", "STREAM"): grammar.describe_stream,
    },
    created={"STREAM": Created(grammar.create_stream)},
    dropped={"STREAM": statements.drop_stream},
    shown={"STREAMS": Shown(statements.COLUMNS, statements.streams)},
    handlers={
        syntax.CreateStream: statements.create_stream,
        syntax.AlterStream: statements.alter_stream,
        syntax.DescribeStream: statements.describe_stream,
    },
    columns={syntax.DescribeStream: (lambda _: statements.COLUMNS, DESCRIBE)},
)
