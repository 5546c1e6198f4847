"""The overloads of the SQL function that exist, and the statements that turn them into the two forms of a contract.

An overload whose comment shows that it is the wanted one already is not changed: it keeps its grants, and properties that people
changed. External functions have no COPY GRANTS: one that must be replaced loses its grants, so they are read before and given
again. Until that is done, the new function's comment holds them, so a killed run loses none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.deploy.function import Form, prediction_url
from app.errors import NotFound
from app.ownership import Existing, claim, owner_of
from app.ports import Table, Warehouse
from app.sql import Name, Statement, identifier, literal

_PENDING = re.compile(r"; granting (\[.*\])\Z")
_PRECISION = re.compile(r"\([^()]*\)")
#: Kinds of grantees as SHOW GRANTS and GRANT write them. External functions cannot be shared with other accounts.
_GRANTEES = {"ROLE": "ROLE", "DATABASE_ROLE": "DATABASE ROLE"}


@dataclass(frozen=True, order=True)
class FunctionGrant:
    """USAGE for one role. ``kind``: ROLE or DATABASE ROLE; ``role``: its name as Snowflake stores it."""

    kind: str
    role: str
    grantable: bool = False


@dataclass(frozen=True)
class Overload:
    """An existing function. ``url``: where it sends rows; read only where the comment names no owner."""

    types: tuple[str, ...]
    comment: str
    grants: tuple[FunctionGrant, ...] = ()
    url: str = ""


def find_overloads(warehouse: Warehouse, name: Name) -> tuple[Overload, ...]:
    """The functions of this name, without Snowflake's own."""
    schema = ".".join(identifier(part) for part in name.parts[:-1])
    try:
        answer = warehouse.run(Statement(f"SHOW FUNCTIONS LIKE {literal(name.last)} IN SCHEMA {schema}"))
    except NotFound:
        return ()  # the schema does not exist; CREATE says so
    found = []
    for row in _named(answer):
        if row["name"] == name.last and row["is_builtin"] == "N":
            types, comment = _types(str(row["arguments"]), name.last), str(row["description"] or "")
            found.append(_overload(warehouse, _signature(name, types), types, comment))
    return tuple(found)


def _overload(warehouse: Warehouse, signature: str, types: tuple[str, ...], comment: str) -> Overload:
    try:
        url = "" if owner_of(comment) else _url(warehouse, signature)
        return Overload(types, comment, _grants(warehouse, signature), url)
    except NotFound:
        return Overload(types, comment)  # another role's: it can be seen, and nothing more


def claim_overloads(
    pipeline: str, name: Name, found: Sequence[Overload], wanted: Sequence[tuple[str, ...]], gateway_url: str
) -> None:
    """Raise CallerError for a function of another pipeline, and for one of someone else with the arguments of a wanted form.

    A function without an owner is the pipeline's if it sends rows to the pipeline's model.
    """
    url = prediction_url(gateway_url, pipeline)
    for each in found:
        owner = owner_of(each.comment)
        if owner is not None or each.types in wanted:
            what = f"function {name}({', '.join(each.types)})"
            claim(pipeline, Existing(what, owner, ours=each.url == url), "write another name for serving.function")


def plan_functions(
    pipeline: str, wanted: Sequence[Form], found: Sequence[Overload], reader: Name | None
) -> tuple[Statement, ...]:
    """The statements, empty if both forms exist as wanted. ``reader``: a role that gets USAGE on a new function."""
    outdated = [
        each
        for each in found
        if owner_of(each.comment) == pipeline and each.types not in [form.types for form in wanted]
    ]
    by_types = {each.types: each for each in found}
    inherited = [grant for each in outdated for grant in each.grants]
    statements = [
        statement for form in wanted for statement in _plan_form(form, by_types.get(form.types), inherited, reader)
    ]
    drops = [Statement(f"DROP FUNCTION IF EXISTS {_signature(wanted[0].name, each.types)}") for each in outdated]
    return (*statements, *drops)


def _plan_form(
    form: Form, found: Overload | None, inherited: Iterable[FunctionGrant], reader: Name | None
) -> Iterable[Statement]:
    pending = _pending(found.comment) if found else ()
    if found is not None and not pending and _ddl(found.comment) == _ddl(form.comment(reader)):
        return () if found.comment == form.comment(reader) else (form.set_comment(reader),)
    to_reader = [] if reader is None else [FunctionGrant("ROLE", reader.last)]
    # A new form takes over the grants of the forms that it succeeds.
    grants = sorted({*pending, *to_reader, *(inherited if found is None else found.grants)})
    if not grants:
        return (form.create(reader),)
    kept = "; granting " + json.dumps([[each.kind, each.role, each.grantable] for each in grants])
    return (form.create(reader, kept), *(_grant(form, each) for each in grants), form.set_comment(reader))


def _grant(form: Form, grant: FunctionGrant) -> Statement:
    role = ".".join(identifier(part) for part in ([grant.role] if grant.kind == "ROLE" else grant.role.split(".")))
    option = " WITH GRANT OPTION" if grant.grantable else ""
    return Statement(f"GRANT USAGE ON FUNCTION {form.signature} TO {grant.kind} {role}{option}")


def _ddl(comment: str) -> str:
    """The digest of the definition in a comment."""
    return comment.partition("; ddl ")[2][:8]


def _pending(comment: str) -> tuple[FunctionGrant, ...]:
    """The grants that a killed run still had to give."""
    found = _PENDING.search(comment)
    return tuple(FunctionGrant(*each) for each in json.loads(found[1])) if found else ()


def _grants(warehouse: Warehouse, signature: str) -> tuple[FunctionGrant, ...]:
    rows = _named(warehouse.run(Statement(f"SHOW GRANTS ON FUNCTION {signature}")))
    return tuple(
        FunctionGrant(_GRANTEES[str(row["granted_to"])], str(row["grantee_name"]), row["grant_option"] == "true")
        for row in rows
        if row["privilege"] == "USAGE" and row["granted_to"] in _GRANTEES
    )


def _url(warehouse: Warehouse, signature: str) -> str:
    rows = warehouse.run(Statement(f"DESCRIBE FUNCTION {signature}")).rows
    return next((str(value) for name, value in rows if name == "body"), "")


def _types(arguments: str, name: str) -> tuple[str, ...]:
    """The types in ``NAME(NUMBER, DEFAULT FLOAT) RETURN FLOAT``, without precision."""
    listed = _PRECISION.sub("", arguments.removeprefix(f"{name}(").removeprefix(f'"{name}"('))
    inner = listed.rpartition(")")[0]
    return tuple(each.strip().removeprefix("DEFAULT ") for each in inner.split(",")) if inner.strip() else ()


def _signature(name: Name, types: Sequence[str]) -> str:
    return f"{name.sql}({', '.join(types)})"


def _named(answer: Table) -> list[dict[str, object]]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
