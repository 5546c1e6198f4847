"""Tasks in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.feature import Created, Shown, Subject
from localcloud.snowflake.objects.tasks import grammar, statements, syntax
from localcloud.snowflake.result import DESCRIBE

SUBJECT = Subject(
    rules={
        ("ALTER", "TASK"): grammar.alter_task,
        ("EXECUTE", "TASK"): grammar.execute_task,
        ("DESCRIBE", "TASK"): grammar.describe_task,
        ("CALL", "SYSTEM$SET_RETURN_VALUE"): grammar.system_call,
    },
    created={"TASK": Created(grammar.create_task)},
    dropped={"TASK": statements.drop_task},
    shown={"TASKS": Shown(statements.COLUMNS, statements.tasks)},
    handlers={
        syntax.CreateTask: statements.create_task,
        syntax.AlterTask: statements.alter_task,
        syntax.ExecuteTask: statements.execute_task,
        syntax.DescribeTask: statements.describe_task,
        syntax.SystemCall: statements.system_call,
    },
    columns={syntax.DescribeTask: (lambda _: statements.COLUMNS, DESCRIBE)},
)
