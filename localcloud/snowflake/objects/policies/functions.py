"""POLICY_REFERENCES of INFORMATION_SCHEMA: the policies on an object, or the objects with a policy."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object, unsupported
from localcloud.snowflake.functions.table import information_schema
from localcloud.snowflake.objects.policies.references import Policy, PolicyReferences
from localcloud.snowflake.objects.policies.statements import argument_columns
from localcloud.snowflake.objects.references import Target
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Path
from localcloud.snowflake.sql.tokens import TokenStream

_FUNCTION = "POLICY_REFERENCES"
_COLUMNS = [
    (name, "text")
    for name in (
        *("POLICY_DB", "POLICY_SCHEMA", "POLICY_NAME", "POLICY_KIND", "REF_DATABASE_NAME", "REF_SCHEMA_NAME"),
        *("REF_ENTITY_NAME", "REF_ENTITY_DOMAIN", "REF_COLUMN_NAME", "REF_ARG_COLUMN_NAMES"),
        *("TAG_DATABASE", "TAG_SCHEMA", "TAG_NAME", "POLICY_STATUS"),
    )
]


def rewrite(node: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """``TABLE(INFORMATION_SCHEMA.POLICY_REFERENCES(..))`` as a temporary table; anything else as it is."""
    if (called := information_schema.called(node, (_FUNCTION,))) is None:
        return node
    known = ("POLICY_NAME", "POLICY_KIND", "REF_ENTITY_NAME", "REF_ENTITY_DOMAIN")
    given = information_schema.arguments(session, runner, _FUNCTION, called[1], known)
    if given.keys() == {"ref_entity_name", "ref_entity_domain"}:
        path = _entity(session, str(given["ref_entity_name"]), str(given["ref_entity_domain"]))
        found = [one for one in session.account.state(PolicyReferences).all() if one[0].parts[:3] == path]
    elif given.keys() <= {"policy_name", "policy_kind"} and "policy_name" in given:
        path = _path(session, str(given["policy_name"]))
        found = [one for one in session.account.state(PolicyReferences).all() if one[1].path == path]
    else:
        raise compilation(1044, "42P13", f"Invalid argument types for function '{_FUNCTION}'")
    rows = [_row(session, *one) for one in sorted(found, key=lambda one: (one[0].parts, one[1].path))]
    return information_schema.answered(session, node, _COLUMNS, rows)


def _entity(session: Session, name: str, domain: str) -> Path:
    if domain.upper() not in ("TABLE", "VIEW"):
        raise unsupported(f"the policies of objects of the domain {domain.upper()}")
    path = _path(session, name)
    if path in session.temporary and domain.upper() == "TABLE":
        return path
    if session.account.names.kind(path) != domain.upper():
        raise missing_object(".".join(path), domain.capitalize())
    return path


def _path(session: Session, text: str) -> Path:
    stream = TokenStream(text)
    name = stream.name()
    stream.end()
    return session.path(name)


def _row(session: Session, target: Target, policy: Policy, columns: tuple[str, ...]) -> list[Any]:
    """The masked column is no argument column; a conditional mask's others are."""
    masked = target.parts[3] if target.domain == "COLUMN" else None
    arguments = columns[1:] if masked is not None else columns
    entity: Path = (target.parts[0], target.parts[1], target.parts[2])
    return [
        *policy.path,
        policy.kind,
        *entity,
        session.account.names.kind(entity),
        masked,
        argument_columns(arguments),
        None,
        None,
        None,
        "ACTIVE",
    ]
