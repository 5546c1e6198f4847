"""Tasks as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.tasks import functions, grammar, statements, syntax
from localcloud.snowflake.objects.tasks.scheduler import Scheduler
from localcloud.snowflake.objects.tasks.state import Task, Tasks

TASK: SchemaKind[Task] = SchemaKind(
    word="TASK",
    example="SCHEDULE = '5 MINUTE' AS SELECT 1",
    listings={"TASKS": Listing(statements.COLUMNS, statements.row)},
    description=Description(statements.COLUMNS, lambda session, found: [statements.row(session, found)]),
    settings=grammar.settings,
    unsettable=frozenset(grammar.OPTIONS),
    actions={
        "RESUME": lambda _: {},
        "SUSPEND": lambda _: {},
        "ADD AFTER": grammar.after,
        "REMOVE AFTER": grammar.after,
        "MODIFY AS": grammar.body,
        "MODIFY WHEN": grammar.condition,
        "REMOVE WHEN": lambda _: {},
    },
    alter=statements.alter,
    drop_check=statements.check_drop,
    dropped=statements.dropped,
)
FEATURE = Feature(
    kinds=(TASK,),
    created={
        "TASK": SchemaCreated(rule=grammar.create_task, kind=TASK, definition=syntax.CreateTask, make=statements.make)
    },
    rules={
        ("EXECUTE", "TASK"): grammar.execute_task,
        ("CALL", "SYSTEM$SET_RETURN_VALUE"): grammar.system_call,
    },
    handlers={
        syntax.ExecuteTask: statements.execute_task,
        syntax.SystemCall: statements.system_call,
    },
    states=(
        lambda account, _: Tasks(account.state(SchemaObjects).of(TASK)),
        lambda account, runner: Scheduler(account, runner),
    ),
    rewrites=(functions.rewrite,),
    system_functions=dict.fromkeys(functions.NAMES, functions.call),
)
