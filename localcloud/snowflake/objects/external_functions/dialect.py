"""External functions as a feature: their CREATE; the other statements are those of all functions."""

from localcloud.snowflake.objects.external_functions import grammar, statements, syntax
from localcloud.snowflake.objects.feature import Feature, SchemaCreated
from localcloud.snowflake.objects.user_functions.dialect import FUNCTION

FEATURE = Feature(
    created={
        "EXTERNAL FUNCTION": SchemaCreated(
            rule=grammar.create_external_function,
            modifiers=frozenset({"SECURE"}),
            kind=FUNCTION,
            definition=syntax.CreateExternalFunction,
            make=statements.make,
        )
    },
)
