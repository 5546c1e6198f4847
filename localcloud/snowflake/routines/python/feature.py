"""Python functions and procedures as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.feature import (
    TEMPORARY,
    Description,
    Feature,
    Listing,
    SchemaCreated,
    SchemaKind,
)
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.objects.user_functions.statements import DESCRIBED
from localcloud.snowflake.routines.python import (
    calls,
    grammar,
    procedures,
    rewrite,
    statements,
    syntax,
    table_functions,
)
from localcloud.snowflake.routines.python.objects import Procedure
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.queries import Queries

_MODIFIERS = TEMPORARY | {"SECURE"}

PROCEDURE: SchemaKind[Procedure] = SchemaKind(
    word="PROCEDURE",
    example=(
        "RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' PACKAGES = ('snowflake-snowpark-python') "
        "HANDLER = 'f' AS 'def f(session): return 1'"
    ),
    created_title="Function",
    overloaded=True,
    listings=dict.fromkeys(("PROCEDURES", "USER PROCEDURES"), Listing(procedures.SHOWN, procedures.row)),
    description=Description(DESCRIBED, lambda session, found: found.properties(session)),
    actions={"EXECUTE AS": grammar.execute_as},
    renames=True,
    alter=procedures.alter,
)


def _python(account: Account) -> Python:
    return Python(account.duck.cursor(), account.state(Queries), account.state(SchemaObjects).of(PROCEDURE))


FEATURE = Feature(
    kinds=(PROCEDURE,),
    created={
        "FUNCTION": SchemaCreated(
            rule=grammar.create_function,
            modifiers=_MODIFIERS,
            kind=FUNCTION,
            definition=syntax.CreateFunction,
            make=statements.make,
        ),
        "PROCEDURE": SchemaCreated(
            rule=grammar.create_procedure,
            modifiers=_MODIFIERS,
            kind=PROCEDURE,
            definition=syntax.CreateProcedure,
            make=procedures.make,
        ),
    },
    rules={("CALL",): grammar.call},
    claimed={grammar.is_anonymous: grammar.call_anonymous},
    nested={syntax.Call: calls.run},
    described={syntax.Call: calls.describe},
    states=(lambda account, _: _python(account),),
    rewrites=(
        lambda node, _session, _runner: packages.rewrite(node),
        lambda node, session, _: rewrite.rewrite(node, session),
        lambda node, session, _: table_functions.rewrite(node, session),
    ),
)
