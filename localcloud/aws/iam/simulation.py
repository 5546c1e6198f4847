"""SimulatePrincipalPolicy over the policies of a role or user in moto.

moto's own policy evaluator treats an unmet condition as a denial and ignores NotResource. This one follows IAM's documented logic:
an explicit deny wins, then an allow, otherwise the decision is implicitDeny.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException
from moto.iam.models import IAMBackend, iam_backends

from localcloud.aws.http.protocol import AwsError
from localcloud.aws.iam import conditions

NO_CONTEXT: conditions.Context = {}

_ARN = re.compile(r"arn:aws[\w-]*:iam::(?P<account>\d{12}):(?P<kind>role|user)/(?:.*/)?(?P<name>[^/]+)")


def simulate_principal_policy(form: dict[str, str]) -> str:
    """Evaluate every action on every resource (``*`` if none is given); returns the XML of the results."""
    unread = [name for name in form if name.startswith(("PermissionsBoundary", "ResourcePolicy"))]
    if unread:
        raise AwsError("InvalidInput", f"The local AWS does not support {unread[0]} of SimulatePrincipalPolicy.")
    statements = list(_principal_statements(form.get("PolicySourceArn", "")))
    for document in _members(form, "PolicyInputList"):
        statements += _statements(document)
    resources = _members(form, "ResourceArns") or ["*"]
    context = _context(form)
    missing = sorted({key for item in statements for key in conditions.keys(item.get("Condition") or {})} - {*context})
    results = "".join(
        _result_xml(action, resource, decide(statements, action, resource, context), missing)
        for action in _members(form, "ActionNames")
        for resource in resources
    )
    return f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"


def decide(
    statements: list[dict[str, Any]], action: str, resource: str, context: conditions.Context = NO_CONTEXT
) -> str:
    """``allowed``, ``explicitDeny`` or ``implicitDeny``. ``context``: values by condition key in lower case."""
    effects = {statement["Effect"] for statement in statements if _applies(statement, action, resource, context)}
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if "Allow" in effects else "implicitDeny"


def _applies(statement: dict[str, Any], action: str, resource: str, context: conditions.Context) -> bool:
    if "Action" in statement:
        acts = _any(statement["Action"], action, fold=True)
    else:
        acts = not _any(statement.get("NotAction", []), action, fold=True)
    if "Resource" in statement:
        fits = _any(statement["Resource"], resource)
    else:
        fits = not _any(statement.get("NotResource", []), resource)
    # Conditions last: an unsupported operator fails only if the statement is about this action and resource.
    return acts and fits and conditions.holds(statement.get("Condition") or {}, context)


def _any(patterns: str | list[str], text: str, *, fold: bool = False) -> bool:
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        # `[` is literal in a policy.
        glob = pattern.replace("[", "[[]")
        if fnmatch.fnmatchcase(text.lower() if fold else text, glob.lower() if fold else glob):
            return True
    return False


def _principal_statements(arn: str) -> Iterator[dict[str, Any]]:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    backend: IAMBackend = iam_backends[match["account"]]["aws"]
    try:
        documents = _role_documents if match["kind"] == "role" else _user_documents
        for document in documents(backend, match["name"]):
            yield from _statements(document)
    except ServiceException as error:
        raise AwsError("NoSuchEntity", f"Entity {arn} does not exist.", status=404) from error


def _role_documents(backend: IAMBackend, name: str) -> Iterator[str | dict[str, Any]]:
    for policy in backend.list_role_policies(name):
        yield backend.get_role_policy(name, policy)[1]
    for attached in backend.list_attached_role_policies(name)[0]:
        yield _managed(backend, attached)


def _user_documents(backend: IAMBackend, name: str) -> Iterator[str | dict[str, Any]]:
    for policy in backend.list_user_policies(name):
        yield backend.get_user_policy(name, policy)["policy_document"]
    for attached in backend.list_attached_user_policies(name)[0]:
        yield _managed(backend, attached)
    for group in backend.get_groups_for_user(name):
        for policy in backend.list_group_policies(group.name):
            yield backend.get_group_policy(group.name, policy)["policy_document"]
        for attached in backend.list_attached_group_policies(group.name)[0]:
            yield _managed(backend, attached)


def _managed(backend: IAMBackend, policy: Any) -> str | dict[str, Any]:
    arn = policy["PolicyArn"] if isinstance(policy, dict) else policy.arn
    versions = backend.get_policy(arn).versions
    document: str | dict[str, Any] = next(version.document for version in versions if version.is_default)
    return document


def _statements(document: str | dict[str, Any]) -> list[dict[str, Any]]:
    # moto keeps a policy from CloudFormation as an object, and one from the API as text.
    policy = json.loads(document) if isinstance(document, str) else document
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]


def _members(form: dict[str, str], name: str) -> list[str]:
    numbered = {int(key.rsplit(".", 1)[1]): value for key, value in form.items() if key.startswith(f"{name}.member.")}
    return [numbered[number] for number in sorted(numbered)]


def _context(form: dict[str, str]) -> dict[str, list[str]]:
    """The values of ContextEntries by key in lower case."""
    found = {}
    numbers = {key.split(".")[2] for key in form if key.startswith("ContextEntries.member.")}
    for entry in (f"ContextEntries.member.{number}" for number in numbers):
        found[form[f"{entry}.ContextKeyName"].lower()] = _members(form, f"{entry}.ContextKeyValues")
    return found


def _result_xml(action: str, resource: str, decision: str, missing: list[str]) -> str:
    keys = "".join(f"<member>{escape(key)}</member>" for key in missing)
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName><EvalDecision>{decision}</EvalDecision>"
        "<MatchedStatements/>"
        f"<MissingContextValues>{keys}</MissingContextValues></member>"
    )
