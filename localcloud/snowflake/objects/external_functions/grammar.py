"""Grammar of CREATE EXTERNAL FUNCTION, and of the properties that ALTER FUNCTION can change."""

from __future__ import annotations

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.objects.user_functions.properties import OPTIONS
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import (
    TokenStream,
)
from localcloud.snowflake.sql.types import sql_arguments, sql_type


def create_external_function(stream: TokenStream, head: CreateHead) -> Statement:
    arguments = sql_arguments(stream)
    stream.expect("RETURNS")
    returns = sql_type(stream)
    not_null = stream.accept("NOT", "NULL")
    if not not_null:
        stream.accept("NULL")
    strict = _null_handling(stream)
    immutable = stream.accept("IMMUTABLE")
    if not immutable:
        stream.accept("VOLATILE")
    options = stream.options(OPTIONS, until=("AS",))
    if "API_INTEGRATION" not in options:
        raise compilation(2029, "42601", "Missing option(s): [API_INTEGRATION]")
    stream.expect("AS")
    return head.make(
        ast.CreateExternalFunction,
        **{name.lower(): value for name, value in options.items()},
        arguments=arguments,
        returns=returns,
        not_null=not_null,
        strict=strict,
        immutable=immutable,
        secure=bool(head.modifiers),
        url=stream.string(),
    )


def _null_handling(stream: TokenStream) -> bool:
    if stream.accept("CALLED", "ON", "NULL", "INPUT"):
        return False
    return stream.accept("RETURNS", "NULL", "ON", "NULL", "INPUT") or stream.accept("STRICT")
