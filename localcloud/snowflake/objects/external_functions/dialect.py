"""External functions in the dialect: CREATE; what they share with other functions stands in the subject ``functions``."""

from localcloud.snowflake.objects.external_functions import grammar, statements, syntax
from localcloud.snowflake.objects.feature import Created, Subject

SUBJECT = Subject(
    created={"EXTERNAL FUNCTION": Created(grammar.create_external_function, modifiers=frozenset({"SECURE"}))},
    handlers={syntax.CreateExternalFunction: statements.create},
)
