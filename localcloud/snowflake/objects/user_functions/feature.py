"""User-defined functions as a kind of schema object. The feature of each kind of function adds its CREATE."""

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaKind
from localcloud.snowflake.objects.user_functions import grammar, statements
from localcloud.snowflake.objects.user_functions.function import UserFunction

FUNCTION: SchemaKind[UserFunction] = SchemaKind(
    word="FUNCTION",
    example="RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' AS 'def f(): return 1'",
    overloaded=True,
    listings={
        "FUNCTIONS": Listing(statements.SHOWN, statements.row),
        "USER FUNCTIONS": Listing(statements.SHOWN, statements.row),
        "EXTERNAL FUNCTIONS": Listing(
            statements.SHOWN_EXTERNAL,
            statements.external_row,
            where=lambda found: found.external,
            scope="ACCOUNT",
        ),
    },
    description=Description(statements.DESCRIBED, lambda session, found: found.properties(session)),
    settings=grammar.settings,
    unsettable=grammar.UNSETTABLE,
    refused=grammar.REFUSED,
    renames=True,
    alter=lambda session, found, statement, _: found.alter(session, statement),
    published=lambda _, found: found.registry.add(found),
    withdrawn=lambda _, found: found.registry.remove(found),
)
FEATURE = Feature(kinds=(FUNCTION,))
