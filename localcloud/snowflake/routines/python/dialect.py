"""Functions and procedures in Python in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.feature import Created, Shown, Subject
from localcloud.snowflake.objects.user_functions.statements import DESCRIBED
from localcloud.snowflake.result import DESCRIBE
from localcloud.snowflake.routines.python import calls, grammar, procedures, statements, syntax

_MODIFIERS = frozenset({"TEMPORARY", "TEMP", "SECURE"})

SUBJECT = Subject(
    rules={
        ("CALL",): grammar.call,
        ("COMMENT", "ON", "FUNCTION"): grammar.comment_on_function,
        ("COMMENT", "ON", "PROCEDURE"): grammar.comment_on_procedure,
        ("DROP", "PROCEDURE"): grammar.drop_procedure,
        ("DESCRIBE", "PROCEDURE"): grammar.describe_procedure,
    },
    created={
        "FUNCTION": Created(grammar.create_function, modifiers=_MODIFIERS),
        "PROCEDURE": Created(grammar.create_procedure, modifiers=_MODIFIERS),
    },
    claimed={grammar.is_anonymous: grammar.call_anonymous},
    shown={
        "PROCEDURES": Shown(procedures.SHOWN, procedures.shown),
        "USER PROCEDURES": Shown(procedures.SHOWN, procedures.shown),
    },
    handlers={
        syntax.CreateFunction: statements.create,
        syntax.CreateProcedure: procedures.create,
        syntax.DropProcedure: procedures.drop,
        syntax.DescribeProcedure: procedures.describe,
        syntax.CommentProcedure: procedures.comment,
    },
    nested={
        syntax.Call: calls.run,
    },
    described={syntax.Call: calls.describe},
    columns={syntax.DescribeProcedure: (lambda _: DESCRIBED, DESCRIBE)},
)
