"""The project's own grammar: the Snowflake statements that sqlglot only takes as text.

In: one statement's SQL. Out: a frozen value of ``syntax``, or Snowflake's refusal. Unknown options, repeated options and
wrong values are refused, so that a statement which passes here is one that Snowflake's documentation allows. Statements
that sqlglot parses for real (queries, tables, views, DML) are none of this module's business: see :func:`recognises`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from app.local.snowflake import syntax as ast
from app.local.snowflake.failures import compilation, unsupported
from app.local.snowflake.grammar_account import (
    alter_session,
    alter_warehouse,
    create_role,
    create_warehouse,
    use,
)
from app.local.snowflake.grammar_copy import copy_into, file_format_option
from app.local.snowflake.grammar_functions import (
    create_external_function,
    describe_function,
    drop_function,
)
from app.local.snowflake.grammar_grants import grant, revoke
from app.local.snowflake.token_stream import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    name_option,
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
_STAGE: dict[str, OptionParser] = {
    "URL": text_option,
    "STORAGE_INTEGRATION": name_option,
    "FILE_FORMAT": file_format_option,
    "COMMENT": text_option,
}
_CREATABLE = ("ROLE", "WAREHOUSE", "STORAGE", "API", "STAGE", "EXTERNAL", "SECURE")
_Parser = Callable[[TokenStream], ast.Statement]


def recognises(sql: str) -> bool:
    """Whether the statement belongs to this grammar (it may still be refused by :func:`parse_statement`)."""
    return _parser(TokenStream(sql)) is not None


def parse_statement(sql: str) -> ast.Statement:
    """The statement as a value; raises the connector's ``ProgrammingError`` with Snowflake's code otherwise."""
    stream = TokenStream(sql)
    parser = _parser(stream)
    if parser is None:
        raise unsupported(f"statements that begin with {' '.join(stream.words(2)) or 'nothing'} in this grammar")
    statement = parser(stream)
    stream.end()
    return statement


def _parser(stream: TokenStream) -> _Parser | None:
    words = stream.words(6)
    head = words[0] if words else ""
    if head == "CREATE":
        rest = words[3:] if words[1:3] == ("OR", "REPLACE") else words[1:]
        if rest[:1] in (("TEMP",), ("TEMPORARY",)) and rest[1:2] == ("STAGE",):
            return _create
        return _create if rest and rest[0] in _CREATABLE and rest[:2] != ("SECURE", "VIEW") else None
    second = words[1] if len(words) > 1 else ""
    return _BY_WORDS.get((head, second)) or _BY_WORDS.get((head, "")) if head else None


def _create(stream: TokenStream) -> ast.Statement:
    stream.expect("CREATE")
    replace = stream.accept("OR", "REPLACE")
    temporary = stream.accept("TEMPORARY") or stream.accept("TEMP")
    secure = stream.accept("SECURE")
    kind = stream.one_of("ROLE", "WAREHOUSE", "STORAGE INTEGRATION", "API INTEGRATION", "STAGE", "EXTERNAL FUNCTION")
    if (temporary and kind != "STAGE") or (secure and kind != "EXTERNAL FUNCTION"):
        raise stream.unexpected()
    optional = stream.accept("IF", "NOT", "EXISTS")
    if replace and optional:
        raise compilation(1003, "42000", "options OR REPLACE and IF NOT EXISTS are incompatible.")
    common: dict[str, Any] = {"name": stream.name(), "or_replace": replace, "if_not_exists": optional}
    if kind == "EXTERNAL FUNCTION":
        return create_external_function(stream, common, secure=secure)
    if kind == "STAGE":
        return _create_stage(stream, common, temporary=temporary)
    return {
        "ROLE": create_role,
        "WAREHOUSE": create_warehouse,
        "STORAGE INTEGRATION": _create_storage_integration,
        "API INTEGRATION": _create_api_integration,
    }[kind](stream, common)


def _create_storage_integration(stream: TokenStream, common: dict[str, Any]) -> ast.Statement:
    options = stream.options(_STORAGE_INTEGRATION)
    _require(options, "TYPE", "STORAGE_PROVIDER", "ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS")
    return ast.CreateStorageIntegration(
        **common,
        comment=options.get("COMMENT"),
        role_arn=options["STORAGE_AWS_ROLE_ARN"],
        external_id=options.get("STORAGE_AWS_EXTERNAL_ID"),
        enabled=options["ENABLED"],
        allowed_locations=options["STORAGE_ALLOWED_LOCATIONS"],
        blocked_locations=options.get("STORAGE_BLOCKED_LOCATIONS", ()),
    )


def _create_api_integration(stream: TokenStream, common: dict[str, Any]) -> ast.Statement:
    options = stream.options(_API_INTEGRATION)
    _require(options, "API_PROVIDER", "API_AWS_ROLE_ARN", "API_ALLOWED_PREFIXES", "ENABLED")
    return ast.CreateApiIntegration(
        **common,
        comment=options.get("COMMENT"),
        provider=options["API_PROVIDER"],
        role_arn=options["API_AWS_ROLE_ARN"],
        enabled=options["ENABLED"],
        allowed_prefixes=options["API_ALLOWED_PREFIXES"],
        blocked_prefixes=options.get("API_BLOCKED_PREFIXES", ()),
    )


def _create_stage(stream: TokenStream, common: dict[str, Any], *, temporary: bool) -> ast.Statement:
    options = stream.options(_STAGE)
    if "URL" not in options:
        raise unsupported("internal stages; give the stage a URL and a STORAGE_INTEGRATION")
    _require(options, "STORAGE_INTEGRATION")
    return ast.CreateStage(
        **common,
        comment=options.get("COMMENT"),
        url=options["URL"],
        storage_integration=options["STORAGE_INTEGRATION"],
        file_format=options.get("FILE_FORMAT"),
        temporary=temporary,
    )


def _require(options: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in options]
    if missing:
        raise compilation(2029, "42601", f"Missing option(s): [{', '.join(missing)}]")


def _drop(stream: TokenStream) -> ast.Statement:
    stream.expect("DROP")
    for qualifier in ("STORAGE", "API"):
        if stream.accept(qualifier):
            stream.expect("INTEGRATION")
            return ast.Drop("INTEGRATION", if_exists=stream.accept("IF", "EXISTS"), name=stream.name())
    kind: Any = stream.one_of("ROLE", "WAREHOUSE", "INTEGRATION", "STAGE")
    return ast.Drop(kind, if_exists=stream.accept("IF", "EXISTS"), name=stream.name())


def _describe_integration(stream: TokenStream) -> ast.Statement:
    stream.one_of("DESCRIBE", "DESC")
    kind: Literal["STORAGE", "API"] | None = None
    if stream.accept("STORAGE"):
        kind = "STORAGE"
    elif stream.accept("API"):
        kind = "API"
    stream.expect("INTEGRATION")
    return ast.DescribeIntegration(stream.name(), kind)


def _show(stream: TokenStream) -> ast.Statement:
    stream.expect("SHOW")
    kind: Any = stream.one_of(
        "EXTERNAL FUNCTIONS",
        "ROLES",
        "WAREHOUSES",
        "INTEGRATIONS",
        "STORAGE INTEGRATIONS",
        "API INTEGRATIONS",
        "STAGES",
        "GRANTS",
    )
    if kind == "GRANTS":
        stream.expect("TO", "ROLE")
        return ast.Show("GRANTS", of_role=stream.identifier())
    kind = "INTEGRATIONS" if kind.endswith("INTEGRATIONS") else kind
    return ast.Show(kind, like=stream.string() if stream.accept("LIKE") else None)


def _list(stream: TokenStream) -> ast.Statement:
    word = stream.one_of("LIST", "LS", "REMOVE", "RM")
    location = stream.stage_path()
    pattern = stream.options({"PATTERN": text_option}).get("PATTERN")
    make = ast.ListStage if word in ("LIST", "LS") else ast.RemoveStage
    return make(location, pattern)


_BY_WORDS: dict[tuple[str, str], _Parser] = {
    **{("DROP", kind): _drop for kind in ("ROLE", "WAREHOUSE", "INTEGRATION", "STORAGE", "API", "STAGE")},
    ("DROP", "FUNCTION"): drop_function,
    **{
        (word, kind): _describe_integration
        for word in ("DESC", "DESCRIBE")
        for kind in ("INTEGRATION", "STORAGE", "API")
    },
    **{(word, "FUNCTION"): describe_function for word in ("DESC", "DESCRIBE")},
    **{
        ("SHOW", kind): _show
        for kind in ("EXTERNAL", "ROLES", "WAREHOUSES", "INTEGRATIONS", "STORAGE", "API", "STAGES", "GRANTS")
    },
    **{(word, ""): _list for word in ("LIST", "LS", "REMOVE", "RM")},
    ("COPY", "INTO"): copy_into,
    ("GRANT", ""): grant,
    ("REVOKE", ""): revoke,
    ("USE", ""): use,
    ("ALTER", "SESSION"): alter_session,
    ("ALTER", "WAREHOUSE"): alter_warehouse,
}
