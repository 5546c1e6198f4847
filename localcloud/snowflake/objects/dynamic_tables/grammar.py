"""Grammar of CREATE, ALTER and DESCRIBE DYNAMIC TABLE. Column lists, clustering and clones are not supported."""

from __future__ import annotations

import re

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.dynamic_tables import syntax as ast
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream, choice_option, name_option, require_options, text_option

_LAG = re.compile(r"\s*(\d+)\s*(second|minute|min|hour|day)s?\s*", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400}
_SHORTEST_S = 60
DOWNSTREAM = "DOWNSTREAM"


def lag_seconds(lag: str) -> int | None:
    """A target lag in seconds; ``None`` for DOWNSTREAM."""
    found = _LAG.fullmatch(lag)
    return int(found[1]) * _SECONDS[found[2].lower()] if found else None


def _lag_option(stream: TokenStream, _name: str) -> str:
    if stream.accept(DOWNSTREAM):
        return DOWNSTREAM
    lag = stream.string()
    if lag.strip().upper() == DOWNSTREAM:  # as GET_DDL writes it
        return DOWNSTREAM
    seconds = lag_seconds(lag)
    if seconds is None or seconds < _SHORTEST_S:
        raise compilation(1008, "22023", f"invalid value ['{lag}'] for parameter 'TARGET_LAG'")
    return lag


_CHANGED = {"TARGET_LAG": _lag_option, "WAREHOUSE": name_option, "COMMENT": text_option}
_OPTIONS = {
    **_CHANGED,
    # The older name of TARGET_LAG, which Snowpark writes.
    "LAG": _lag_option,
    "REFRESH_MODE": choice_option("AUTO", "FULL", "INCREMENTAL"),
    "INITIALIZE": choice_option("ON_CREATE", "ON_SCHEDULE"),
}


def create_dynamic_table(stream: TokenStream, head: CreateHead) -> Statement:
    if stream.words(1) == ("(",):
        raise unsupported("column lists in CREATE DYNAMIC TABLE")
    if stream.words(1) == ("CLUSTER",):
        raise unsupported("CLUSTER BY in CREATE DYNAMIC TABLE")
    options = stream.options(_OPTIONS, until=("AS",))
    if "LAG" in options and "TARGET_LAG" not in options:
        options["TARGET_LAG"] = options.pop("LAG")
    require_options(options, "TARGET_LAG", "WAREHOUSE")
    if options["TARGET_LAG"] == DOWNSTREAM and options.get("INITIALIZE") == "ON_SCHEDULE":
        raise unsupported("INITIALIZE = ON_SCHEDULE with TARGET_LAG = DOWNSTREAM")
    stream.expect("AS")
    query = stream.skip_rest().strip().rstrip(";")
    return head.make(ast.CreateDynamicTable, options=options, query=query, comment=options.get("COMMENT"))


def settings(stream: TokenStream) -> Options:
    return stream.options(_CHANGED)
