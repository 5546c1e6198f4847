"""Functions and procedures in Python as a feature."""

from localcloud.snowflake.objects.feature import (
    TEMPORARY,
    Description,
    Feature,
    Listing,
    SchemaCreated,
    SchemaKind,
)
from localcloud.snowflake.objects.user_functions.dialect import FUNCTION
from localcloud.snowflake.objects.user_functions.statements import DESCRIBED
from localcloud.snowflake.routines.python import calls, grammar, procedures, statements, syntax
from localcloud.snowflake.routines.python.objects import Procedure

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
)
