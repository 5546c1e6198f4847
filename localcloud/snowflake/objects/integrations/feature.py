"""Storage and API integrations as a feature."""

from localcloud.snowflake.objects.feature import Created, Feature, Shown
from localcloud.snowflake.objects.integrations import grammar, statements, syntax
from localcloud.snowflake.objects.integrations.state import Integrations
from localcloud.snowflake.result import DESCRIBE

_KINDS = ("INTEGRATION", "STORAGE INTEGRATION", "API INTEGRATION")

FEATURE = Feature(
    rules={
        **{("DESCRIBE", *kind.split()): grammar.describe_integration for kind in _KINDS},
        **{("ALTER", *kind.split()): grammar.alter_integration for kind in _KINDS},
    },
    created={
        "STORAGE INTEGRATION": Created(grammar.create_storage_integration),
        "API INTEGRATION": Created(grammar.create_api_integration),
    },
    dropped=dict.fromkeys(_KINDS, statements.drop),
    shown={f"{kind}S": Shown(statements.SHOWN, statements.shown) for kind in _KINDS},
    handlers={
        syntax.CreateStorageIntegration: statements.create,
        syntax.CreateApiIntegration: statements.create,
        syntax.AlterIntegration: statements.alter,
        syntax.DescribeIntegration: statements.describe,
    },
    columns={syntax.DescribeIntegration: (lambda _: statements.DESCRIBED, DESCRIBE)},
    states=(lambda account, _: Integrations(account.name),),
)
