"""Views of INFORMATION_SCHEMA over the server's own objects: FUNCTIONS, PROCEDURES, STAGES and SEQUENCES, of any database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import missing_object
from localcloud.snowflake.functions.table.information_schema import answered
from localcloud.snowflake.objects.sequences import SEQUENCE
from localcloud.snowflake.objects.stages.feature import STAGE
from localcloud.snowflake.objects.store import SchemaObject, SchemaObjects
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.routines.python.feature import PROCEDURE
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import stored

_SCHEMA = "INFORMATION_SCHEMA"
_TIME = "timestamp_ltz"
Columns = Sequence[tuple[str, str]]


def _columns(kind: str, *own: tuple[str, str], last: tuple[str, str] | None = None) -> Columns:
    """The columns of a view. ``own``: those of its kind; ``last``: one that comes just before COMMENT."""
    return [
        *[(f"{kind}_CATALOG", "text"), (f"{kind}_SCHEMA", "text"), (f"{kind}_NAME", "text"), (f"{kind}_OWNER", "text")],
        *own,
        *[("CREATED", _TIME), ("LAST_ALTERED", _TIME), *([last] if last else []), ("COMMENT", "text")],
    ]


def _row(found: SchemaObject, *own: Any) -> list[Any]:
    return [*found.path, found.owner, *own, found.created, found.created, found.comment or None]


def _signature(found: Any) -> str:
    return "(" + ", ".join(f"{argument.name} {argument.type}" for argument in found.definition.arguments) + ")"


def _function(found: Any) -> list[Any]:
    own = [_signature(found), str(found.definition.returns), "YES" if found.external else "NO", found.language]
    return _row(found, *own, found.definition.code.body if not found.external else None)


def _procedure(found: Any) -> list[Any]:
    return _row(found, _signature(found), str(found.definition.returns), "PYTHON", found.definition.code.body)


def _stage(found: Any) -> list[Any]:
    url = getattr(found.definition, "url", None)
    return _row(found, url, None, "External Named" if url else "Internal Named")


def _sequence(found: Any) -> list[Any]:
    counter = found.counter
    numbers = [str(found.start), None, None, str(counter.next), str(counter.step)]
    *row, comment = _row(found, "NUMBER", 38, 10, 0, *numbers, "NO")
    return [*row, "YES" if found.ordered else "NO", comment]


_TYPED = [("ARGUMENT_SIGNATURE", "text"), ("DATA_TYPE", "text")]
_VIEWS: dict[str, tuple[Any, Columns, Callable[[Any], list[Any]]]] = {
    "FUNCTIONS": (
        FUNCTION,
        _columns(
            "FUNCTION",
            *_TYPED,
            *[("IS_EXTERNAL", "text"), ("FUNCTION_LANGUAGE", "text"), ("FUNCTION_DEFINITION", "text")],
        ),
        _function,
    ),
    "PROCEDURES": (
        PROCEDURE,
        _columns("PROCEDURE", *_TYPED, ("PROCEDURE_LANGUAGE", "text"), ("PROCEDURE_DEFINITION", "text")),
        _procedure,
    ),
    "STAGES": (
        STAGE,
        _columns("STAGE", ("STAGE_URL", "text"), ("STAGE_REGION", "text"), ("STAGE_TYPE", "text")),
        _stage,
    ),
    "SEQUENCES": (
        SEQUENCE,
        _columns(
            "SEQUENCE",
            *[("DATA_TYPE", "text"), ("NUMERIC_PRECISION", "fixed"), ("NUMERIC_PRECISION_RADIX", "fixed")],
            *[("NUMERIC_SCALE", "fixed"), ("START_VALUE", "text"), ("MINIMUM_VALUE", "text")],
            *[("MAXIMUM_VALUE", "text"), ("NEXT_VALUE", "text"), ("INCREMENT", "text"), ("CYCLE_OPTION", "text")],
            last=("ORDERED", "text"),
        ),
        _sequence,
    ),
}


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """One of these views as a temporary table with its present rows; anything else as it is."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        return node
    schema, name = node.args.get("db"), stored(node.this)
    written = stored(schema) if isinstance(schema, exp.Identifier) else session.schema
    if written != _SCHEMA or name not in _VIEWS:
        return node
    catalog = node.args.get("catalog")
    database = stored(catalog) if isinstance(catalog, exp.Identifier) else session.database
    if database is None or not session.account.names.has_database(database):
        raise missing_object(database or "", "Database")
    kind, columns, row = _VIEWS[name]
    found = session.account.state(SchemaObjects).of(kind).visible(session.id)
    rows = [row(one) for one in found if one.path[0] == database]
    if not node.args.get("alias"):
        node.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
    return answered(session, node, columns, rows)
