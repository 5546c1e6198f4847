"""External functions as a feature: CREATE EXTERNAL FUNCTION. The other statements are shared by all functions."""

from localcloud.snowflake.objects.external_functions import grammar, rewrite, statements, syntax
from localcloud.snowflake.objects.external_functions.http.client import ExternalCaller
from localcloud.snowflake.objects.external_functions.registry import Registry
from localcloud.snowflake.objects.feature import Feature, SchemaCreated
from localcloud.snowflake.objects.integrations.state import Integrations
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.queries import Queries


def _registry(account: Account) -> Registry:
    caller, integrations = account.state(ExternalCaller), account.state(Integrations)
    return Registry(account.duck.cursor(), caller, account.state(Queries), integrations)


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
    states=(lambda account, _: _registry(account),),
    rewrites=(lambda node, session, _: rewrite.rewrite(node, session),),
)
