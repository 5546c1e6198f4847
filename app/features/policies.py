"""Masking and row access policies on a pipeline's sources.

A role that a policy applies to reads masked values or fewer rows, and nothing in a query's answer shows it. A model that was
trained on them is wrong in silence, so a policy on a source is an error unless the pipeline file says that it is meant.

Snowflake lists the policies on a table or view itself. Those on the tables below a view apply as well, and are not listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from app.errors import CallerError
from app.ownership import find_objects
from app.ports import Row, Warehouse
from app.spec.schema import Source
from app.sql import Name, Statement, identifier, literal

_MASKING = "masking policy"
_KINDS = {"MASKING_POLICY": _MASKING, "ROW_ACCESS_POLICY": "row access policy"}


@dataclass(frozen=True)
class PolicyReference:
    """A policy on a source. ``source``: its short name. ``columns``: the masked column, or those that decide about a row."""

    source: str
    kind: str
    policy: str
    columns: tuple[str, ...]


def read_policies(warehouse: Warehouse, sources: Mapping[str, Source], at: Callable[..., str]) -> tuple[str, ...]:
    """Notes about the policies on the sources, empty if there are none; by one statement, and one SHOW for each schema.

    ``at``: the place of a key of the pipeline file, for messages. Raises CallerError for a policy on a source without ``policies:
    allowed``. If the role may not ask, the note says so.
    """
    try:
        kinds = find_objects(warehouse, {Name.parse(source.table) for source in sources.values()})
        views = {str(name) for name, each in kinds.items() if each.kind == "VIEW"}
        rows = warehouse.run(policies_query(sources, views)).rows
    except CallerError as error:
        return (
            f"whether masking or row access policies apply to the sources is unknown, because the role cannot ask: {error}",
        )
    found = _references(rows)
    _refuse(found, sources, at)
    return tuple(f"sources.{each.source}: {_described(each, sources[each.source])}, as allowed" for each in found)


def policies_query(sources: Mapping[str, Source], views: Collection[str]) -> Statement:
    """(source, kind of policy, database, schema and name of the policy, column, argument columns) of all policies on the sources.

    ``views``: the tables of the sources that are views.
    """
    return Statement(
        "\nUNION ALL ".join(
            _query(name, source, str(Name.parse(source.table)) in views) for name, source in sources.items()
        )
    )


def _query(name: str, source: Source, is_view: bool) -> str:
    table = Name.parse(source.table)
    database = f"{identifier(table.parts[0])}." if len(table.parts) == 3 else ""
    return (
        f"SELECT {literal(name)} AS SOURCE_NAME, POLICY_KIND, POLICY_DB, POLICY_SCHEMA, POLICY_NAME, REF_COLUMN_NAME, "
        f"REF_ARG_COLUMN_NAMES\nFROM TABLE({database}INFORMATION_SCHEMA.POLICY_REFERENCES("
        f"REF_ENTITY_NAME => {literal(table.sql)}, REF_ENTITY_DOMAIN => '{'VIEW' if is_view else 'TABLE'}'))"
    )


def _references(rows: Iterable[Row]) -> list[PolicyReference]:
    """Kinds of policy that only restrict how a column may be used are left out: a query that breaks them fails."""
    return sorted(
        (
            PolicyReference(source, _KINDS[kind], f"{database}.{schema}.{policy}", _columns(column, arguments))
            for source, kind, database, schema, policy, column, arguments in rows
            if kind in _KINDS
        ),
        key=lambda each: (each.source, each.kind, each.columns),
    )


def _columns(column: str | None, arguments: str | None) -> tuple[str, ...]:
    """The masked column; of a row access policy those in its ON, which Snowflake writes as ``[ "A", "B" ]``."""
    return (column,) if column else tuple(json.loads(arguments or "[]"))


def _refuse(found: Iterable[PolicyReference], sources: Mapping[str, Source], at: Callable[..., str]) -> None:
    """Raise CallerError with a line for each policy on a source whose ``policies`` are not allowed."""
    refused = [each for each in found if sources[each.source].policies != "allowed"]
    if refused:
        raise CallerError(
            "\n".join(
                f"{at('sources', each.source)}: {_described(each, sources[each.source])}, so features and labels would be "
                f"computed {_computed(each)}. Use a role that the policy does not restrict, or, if that is meant, write "
                "`policies: allowed` in the source"
                for each in refused
            )
        )


def _described(each: PolicyReference, source: Source) -> str:
    if each.kind == _MASKING:
        return f"{each.kind} {each.policy} masks {', '.join(each.columns)} of {source.table}"
    return f"{each.kind} {each.policy} filters the rows of {source.table} by {', '.join(each.columns)}"


def _computed(each: PolicyReference) -> str:
    return "from masked values" if each.kind == _MASKING else "without the rows that it hides"
