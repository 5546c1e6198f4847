"""Grammar of storage and API integrations. Options that Snowflake requires are required."""

from __future__ import annotations

from typing import Literal

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.objects.integrations import syntax as ast
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    require_options,
    text_option,
    texts_option,
)

_STORAGE_INTEGRATION: dict[str, OptionParser] = {
    "TYPE": choice_option("EXTERNAL_STAGE"),
    "STORAGE_PROVIDER": choice_option("S3"),
    "ENABLED": boolean_option,
    "STORAGE_AWS_ROLE_ARN": text_option,
    "STORAGE_AWS_EXTERNAL_ID": text_option,
    "STORAGE_ALLOWED_LOCATIONS": texts_option,
    "STORAGE_BLOCKED_LOCATIONS": texts_option,
    "COMMENT": text_option,
}
_API_INTEGRATION: dict[str, OptionParser] = {
    "API_PROVIDER": choice_option("AWS_API_GATEWAY", "AWS_PRIVATE_API_GATEWAY"),
    "API_AWS_ROLE_ARN": text_option,
    "API_KEY": text_option,
    "API_ALLOWED_PREFIXES": texts_option,
    "API_BLOCKED_PREFIXES": texts_option,
    "ENABLED": boolean_option,
    "COMMENT": text_option,
}
# Options that ALTER can change, with the field that stores each.
ALTERABLE: dict[str, dict[str, str]] = {
    "STORAGE": {
        "ENABLED": "enabled",
        "STORAGE_AWS_ROLE_ARN": "role_arn",
        "STORAGE_AWS_EXTERNAL_ID": "external_id",
        "STORAGE_ALLOWED_LOCATIONS": "allowed_locations",
        "STORAGE_BLOCKED_LOCATIONS": "blocked_locations",
        "COMMENT": "comment",
    },
    "API": {
        "ENABLED": "enabled",
        "API_AWS_ROLE_ARN": "role_arn",
        "API_KEY": "api_key",
        "API_ALLOWED_PREFIXES": "allowed_prefixes",
        "API_BLOCKED_PREFIXES": "blocked_prefixes",
        "COMMENT": "comment",
    },
}
UNSETTABLE = frozenset({"ENABLED", "COMMENT", "API_KEY", "API_BLOCKED_PREFIXES", "STORAGE_BLOCKED_LOCATIONS"})


def create_storage_integration(stream: TokenStream, head: CreateHead) -> Statement:
    options = stream.options(_STORAGE_INTEGRATION)
    require_options(options, "TYPE", "STORAGE_PROVIDER", "ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS")
    return head.make(
        ast.CreateStorageIntegration,
        comment=options.get("COMMENT"),
        role_arn=options["STORAGE_AWS_ROLE_ARN"],
        external_id=options.get("STORAGE_AWS_EXTERNAL_ID"),
        enabled=options["ENABLED"],
        allowed_locations=options["STORAGE_ALLOWED_LOCATIONS"],
        blocked_locations=options.get("STORAGE_BLOCKED_LOCATIONS", ()),
    )


def create_api_integration(stream: TokenStream, head: CreateHead) -> Statement:
    options = stream.options(_API_INTEGRATION)
    require_options(options, "API_PROVIDER", "API_AWS_ROLE_ARN", "API_ALLOWED_PREFIXES", "ENABLED")
    return head.make(
        ast.CreateApiIntegration,
        comment=options.get("COMMENT"),
        provider=options["API_PROVIDER"],
        role_arn=options["API_AWS_ROLE_ARN"],
        api_key=options.get("API_KEY"),
        enabled=options["ENABLED"],
        allowed_prefixes=options["API_ALLOWED_PREFIXES"],
        blocked_prefixes=options.get("API_BLOCKED_PREFIXES", ()),
    )


def alter_integration(stream: TokenStream) -> Statement:
    stream.expect("ALTER")
    kind = _kind(stream)
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    known = {option for each in ("STORAGE", "API") if kind in (None, each) for option in ALTERABLE[each]}
    if stream.accept("SET"):
        if stream.words(1) == ("TAG",):
            raise unsupported("tags of integrations")
        parsers = {**_STORAGE_INTEGRATION, **_API_INTEGRATION}
        changes = stream.options({option: parsers[option] for option in known})
    else:
        stream.expect("UNSET")
        changes = dict.fromkeys([stream.one_of(*(known & UNSETTABLE))])
        while stream.accept(","):
            changes[stream.one_of(*(known & UNSETTABLE))] = None
    if not changes:
        raise stream.unexpected()
    return ast.AlterIntegration(name, kind, exists, tuple(changes.items()))


def describe_integration(stream: TokenStream) -> Statement:
    stream.one_of("DESCRIBE", "DESC")
    kind = _kind(stream)
    return ast.DescribeIntegration(stream.name(), kind)


def _kind(stream: TokenStream) -> Literal["STORAGE", "API"] | None:
    """``[STORAGE | API] INTEGRATION``."""
    kind: Literal["STORAGE", "API"] | None = None
    if stream.accept("STORAGE"):
        kind = "STORAGE"
    elif stream.accept("API"):
        kind = "API"
    stream.expect("INTEGRATION")
    return kind
