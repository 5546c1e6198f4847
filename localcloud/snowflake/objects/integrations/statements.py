"""CREATE, ALTER, DESCRIBE, DROP and SHOW of storage and API integrations.

As in Snowflake, CREATE OR REPLACE generates a new external id, which invalidates the trust policy of the AWS role until
it is updated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.integrations import syntax as ast
from localcloud.snowflake.objects.integrations.grammar import ALTERABLE
from localcloud.snowflake.objects.integrations.state import Integration, Integrations
from localcloud.snowflake.objects.schema_statements import already_exists
from localcloud.snowflake.result import DESCRIBE, Result, done, rows_result, status
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Show

DESCRIBED = [
    ("property", "text"),
    ("property_type", "text"),
    ("property_value", "text"),
    ("property_default", "text"),
]
SHOWN = [
    *[("name", "text"), ("type", "text"), ("category", "text"), ("enabled", "text")],
    *[("comment", "text"), ("created_on", "timestamp_ltz")],
]
# The IAM user that a real account would show. The local AWS does not check trust policies.
_IAM_USER = "arn:aws:iam::123456789012:user/snowflake-local"
# Values to which UNSET resets fields; other fields become ``None``.
_UNSET: dict[str, Any] = {"enabled": False, "blocked_locations": (), "blocked_prefixes": ()}
_Rows = list[tuple[str, str, str, str]]


def create(session: Session, statement: ast.CreateStorageIntegration | ast.CreateApiIntegration) -> Result:
    name = statement.name.name
    if statement.name.schema is not None:
        raise compilation(1003, "42000", "integrations belong to the account; use an unqualified name.")
    _check_locations(statement)
    if name in session.account.state(Integrations) and not statement.or_replace:
        return already_exists(statement)
    session.account.state(Integrations).create(statement)
    return status(f"Integration {name} successfully created.")


def alter(session: Session, statement: ast.AlterIntegration) -> Result:
    """Change an integration in place. Its external id is kept unless the statement sets another."""
    integrations, name = session.account.state(Integrations), statement.name.name
    if statement.if_exists and name not in integrations:
        return done()
    found = integrations.get(name, statement.kind)
    fields = ALTERABLE[found.kind]
    for option, _ in statement.changes:
        if option not in fields:
            raise compilation(1420, "22023", f"invalid parameter '{option}'")
    changed: dict[str, Any] = {
        fields[option]: _UNSET.get(fields[option]) if value is None else value for option, value in statement.changes
    }
    definition = replace(found.definition, **changed)
    _check_locations(definition)
    external_id = changed.get("external_id", found.external_id)
    integrations.put(Integration(definition, external_id, found.created))
    return done()


def _check_locations(statement: ast.CreateStorageIntegration | ast.CreateApiIntegration) -> None:
    if isinstance(statement, ast.CreateStorageIntegration):
        for url in statement.allowed_locations + statement.blocked_locations:
            if url != "*" and not url.startswith("s3://"):
                raise compilation(1008, "22023", f"invalid value ['{url}'] for parameter 'STORAGE_ALLOWED_LOCATIONS'")
        return
    for url in statement.allowed_prefixes + statement.blocked_prefixes:
        if not url.startswith(("https://", "http://")):
            raise compilation(1008, "22023", f"invalid value ['{url}'] for parameter 'API_ALLOWED_PREFIXES'")


def describe(session: Session, statement: ast.DescribeIntegration) -> Result:
    found = session.account.state(Integrations).get(statement.name.name, statement.kind)
    rows = _storage(found) if found.kind == "STORAGE" else _api(found)
    return rows_result(DESCRIBED, [*rows, ("COMMENT", "String", found.definition.comment or "", "")], DESCRIBE)


def _storage(found: Integration) -> _Rows:
    definition = found.definition
    assert isinstance(definition, ast.CreateStorageIntegration)
    return [
        ("ENABLED", "Boolean", str(definition.enabled).lower(), "false"),
        ("STORAGE_PROVIDER", "String", "S3", ""),
        ("STORAGE_ALLOWED_LOCATIONS", "List", ",".join(definition.allowed_locations), "[]"),
        ("STORAGE_BLOCKED_LOCATIONS", "List", ",".join(definition.blocked_locations), "[]"),
        ("STORAGE_AWS_IAM_USER_ARN", "String", _IAM_USER, ""),
        ("STORAGE_AWS_ROLE_ARN", "String", definition.role_arn, ""),
        ("STORAGE_AWS_EXTERNAL_ID", "String", found.external_id, ""),
    ]


def _api(found: Integration) -> _Rows:
    definition = found.definition
    assert isinstance(definition, ast.CreateApiIntegration)
    return [
        ("ENABLED", "Boolean", str(definition.enabled).lower(), "false"),
        ("API_KEY", "String", "", ""),
        ("API_PROVIDER", "String", definition.provider, ""),
        ("API_AWS_IAM_USER_ARN", "String", _IAM_USER, ""),
        ("API_AWS_ROLE_ARN", "String", definition.role_arn, ""),
        ("API_AWS_EXTERNAL_ID", "String", found.external_id, ""),
        ("API_ALLOWED_PREFIXES", "List", ",".join(definition.allowed_prefixes), "[]"),
        ("API_BLOCKED_PREFIXES", "List", ",".join(definition.blocked_prefixes), "[]"),
    ]


def drop(session: Session, name: Name) -> bool:
    return session.account.state(Integrations).drop(name.name)


def shown(session: Session, statement: Show) -> list[list[Any]]:
    """The rows of SHOW INTEGRATIONS, or of one category."""
    category = statement.kind.rpartition(" ")[0]
    return [
        [
            found.definition.name.name,
            "EXTERNAL_STAGE" if found.kind == "STORAGE" else "EXTERNAL_API",
            found.kind,
            str(found.definition.enabled).lower(),
            found.definition.comment or "",
            found.created,
        ]
        for found in session.account.state(Integrations).all()
        if category in ("", found.kind)
    ]
