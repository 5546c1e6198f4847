"""Values of CONTEXT_HEADERS, evaluated once per query so that all its batches carry the same values."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from localcloud.snowflake.functions.context import context_values
from localcloud.snowflake.objects.external_functions.function import ExternalFunction
from localcloud.snowflake.sessions.session import Session


def context_headers(function: ExternalFunction, session: Session) -> dict[str, str]:
    """The function's context headers for the running query, by name of the context function."""
    now = datetime.now(UTC)
    values = {
        **context_values(session),
        "CURRENT_DATE": f"{now:%Y-%m-%d}",
        "CURRENT_TIME": f"{now:%H:%M:%S}",
        "LOCALTIME": f"{now:%H:%M:%S}",
        "CURRENT_TIMESTAMP": f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} +0000",
        "LOCALTIMESTAMP": f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} +0000",
        "CURRENT_SCHEMAS": json.dumps([f"{session.database}.{session.schema}"]),
    }
    return {name: values.get(name) or "" for name in function.definition.context_headers}
