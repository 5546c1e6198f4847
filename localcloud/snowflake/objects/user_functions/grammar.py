"""Grammar of the changes in ALTER FUNCTION. Each kind of function rejects the properties that it lacks."""

from __future__ import annotations

from localcloud.snowflake.objects.feature import Options
from localcloud.snowflake.objects.user_functions.properties import OPTIONS
from localcloud.snowflake.sql.tokens import TokenStream

_UNSUPPORTED = ("LOG_LEVEL", "TRACE_LEVEL", "TAG")
REFUSED = {f"{action} {name}": f"{name} of functions" for name in _UNSUPPORTED for action in ("SET", "UNSET")}
UNSETTABLE = frozenset(
    {
        *("COMMENT", "SECURE", "HEADERS", "CONTEXT_HEADERS", "MAX_BATCH_ROWS", "COMPRESSION"),
        *("REQUEST_TRANSLATOR", "RESPONSE_TRANSLATOR"),
    }
)


def settings(stream: TokenStream) -> Options:
    """A single property to set."""
    if stream.accept("SECURE"):
        return {"SECURE": True}
    changes = stream.options(OPTIONS)
    if len(changes) != 1:
        raise stream.unexpected()
    return changes
