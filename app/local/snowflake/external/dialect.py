"""External functions in the dialect: which rule reads and which handler runs each statement."""

from app.local.snowflake.external import grammar, statements, syntax
from app.local.snowflake.result import DESCRIBE
from app.local.snowflake.subject import Created, Shown, Subject

SUBJECT = Subject(
    rules={
        ("DROP", "FUNCTION"): grammar.drop_function,
        **{(word, "FUNCTION"): grammar.describe_function for word in ("DESC", "DESCRIBE")},
    },
    created={"EXTERNAL FUNCTION": Created(grammar.create_external_function, modifiers=frozenset({"SECURE"}))},
    shown={"EXTERNAL FUNCTIONS": Shown(statements.SHOWN, statements.shown)},
    handlers={
        syntax.CreateExternalFunction: statements.create,
        syntax.DropFunction: statements.drop,
        syntax.DescribeFunction: statements.describe,
    },
    columns={syntax.DescribeFunction: (lambda _: statements.DESCRIBED, DESCRIBE)},
)
