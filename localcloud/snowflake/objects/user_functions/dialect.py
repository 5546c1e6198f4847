"""DROP, ALTER, DESCRIBE and SHOW FUNCTIONS in the dialect, for functions of every kind.

A subject with functions of its own adds only its CREATE to its own ``dialect``, and joins the statements here by
``engine.user_functions.add_source`` (see ``registry``).
"""

from localcloud.snowflake.objects.feature import Shown, Subject
from localcloud.snowflake.objects.user_functions import grammar, statements, syntax
from localcloud.snowflake.result import DESCRIBE

SUBJECT = Subject(
    rules={
        ("DROP", "FUNCTION"): grammar.drop_function,
        ("ALTER", "FUNCTION"): grammar.alter_function,
        ("DESCRIBE", "FUNCTION"): grammar.describe_function,
    },
    shown={
        "FUNCTIONS": Shown(statements.SHOWN, statements.shown),
        "USER FUNCTIONS": Shown(statements.SHOWN, statements.shown),
        "EXTERNAL FUNCTIONS": Shown(statements.SHOWN_EXTERNAL, statements.shown),
    },
    handlers={
        syntax.DropFunction: statements.drop,
        syntax.DescribeFunction: statements.describe,
        syntax.AlterFunction: statements.alter,
    },
    columns={syntax.DescribeFunction: (lambda _: statements.DESCRIBED, DESCRIBE)},
)
