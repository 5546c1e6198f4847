"""The features of the local Snowflake.

Their states are made, and their rewrites run, in this order; the states of later features are closed first.
"""

from __future__ import annotations

from localcloud.snowflake.copy.feature import FEATURE as COPY
from localcloud.snowflake.objects.account.feature import FEATURE as ACCOUNT
from localcloud.snowflake.objects.dynamic_tables.feature import FEATURE as DYNAMIC_TABLES
from localcloud.snowflake.objects.event_tables.feature import FEATURE as EVENT_TABLES
from localcloud.snowflake.objects.external_functions.feature import FEATURE as EXTERNAL_FUNCTIONS
from localcloud.snowflake.objects.feature import Feature
from localcloud.snowflake.objects.integrations.feature import FEATURE as INTEGRATIONS
from localcloud.snowflake.objects.policies.feature import FEATURE as POLICIES
from localcloud.snowflake.objects.sequences import FEATURE as SEQUENCES
from localcloud.snowflake.objects.stages.feature import FEATURE as STAGES
from localcloud.snowflake.objects.streams.feature import FEATURE as STREAMS
from localcloud.snowflake.objects.table_keys import FEATURE as TABLE_KEYS
from localcloud.snowflake.objects.tags.feature import FEATURE as TAGS
from localcloud.snowflake.objects.tasks.feature import FEATURE as TASKS
from localcloud.snowflake.objects.user_functions.feature import FEATURE as USER_FUNCTIONS
from localcloud.snowflake.routines.python.feature import FEATURE as PYTHON

FEATURES: tuple[Feature, ...] = (
    ACCOUNT,
    INTEGRATIONS,
    # Before streams, whose names it has to see.
    POLICIES,
    STAGES,
    COPY,
    USER_FUNCTIONS,
    PYTHON,
    STREAMS,
    DYNAMIC_TABLES,
    EVENT_TABLES,
    SEQUENCES,
    TABLE_KEYS,
    TAGS,
    TASKS,
    # Last, because its rewrites reject calls of functions in a schema that no other feature knows.
    EXTERNAL_FUNCTIONS,
)
