"""SQL functions in Python: the RFM score for one row and for batches of rows, generated from one module.

Arguments and result are FLOAT: a NUMBER that is not a small integer reaches a vectorised function as Decimal objects, which numpy
computes with one by one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import CallerError
from app.features.routines import rfm
from app.features.store import SCHEMA
from app.ownership import Existing, claim, comment, owner_of
from app.ports import Warehouse
from app.sql import Name, Statement, identifier, literal

#: The Python of the functions in Snowflake.
RUNTIME = "3.11"

#: Snowflake passes vectorised handlers a DataFrame of the arguments.
_VECTORIZED = """
import pandas
from _snowflake import vectorized


@vectorized(input=pandas.DataFrame)
def rfm_score_batch(rows):
    return pandas.Series(rfm_score(*(rows[column] for column in rows)))
"""

_ARGUMENTS = ("RECENCY_DAYS", "FREQUENCY", "MONETARY")

Rules = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Routine:
    """A function or procedure to create. ``kind``: FUNCTION or PROCEDURE."""

    kind: str
    name: Name
    create: Statement


def rfm_functions(pipeline: str, rules: Rules = rfm.RULES) -> tuple[Routine, Routine]:
    """``FEATURE_STORE.<PIPELINE>_RFM_SCORE(RECENCY_DAYS, FREQUENCY, MONETARY)``, and the same in batches as ``.._RFM_SCORE_BATCH``.

    Raises CallerError for rules in an order in which one of them never holds.
    """
    checked = {name: _checked(name, rules) for name in rfm.RULES}
    text = Path(rfm.__file__).read_text(encoding="utf-8")
    text = f"{text}\n\nRULES = {json.dumps(checked)}\n"
    name = Name.of(SCHEMA, f"{pipeline.upper().replace('-', '_')}_RFM_SCORE")
    batch = name.sibling(f"{name.last}_BATCH")
    return (
        Routine("FUNCTION", name, _create(name, pipeline, text, "rfm_score_row", ("numpy",))),
        Routine(
            "FUNCTION", batch, _create(batch, pipeline, text + _VECTORIZED, "rfm_score_batch", ("numpy", "pandas"))
        ),
    )


def create_routines(warehouse: Warehouse, pipeline: str, routines: Sequence[Routine]) -> None:
    """Create or replace them. Raises CallerError for one that exists and belongs to another pipeline, or to no pipeline."""
    for routine in routines:
        for existing in _find(warehouse, routine):
            claim(pipeline, existing, "give the pipeline another name")
    for routine in routines:
        warehouse.run(routine.create)


def body(text: str) -> str:
    """The text of a handler between dollar quotes. Raises CallerError for a text that would end them."""
    if "$$" in text:
        raise CallerError("the Python of a SQL function cannot contain $$")
    return f"$$\n{text}$$"


def _create(name: Name, pipeline: str, text: str, handler: str, packages: tuple[str, ...]) -> Statement:
    arguments = ", ".join(f"{identifier(argument)} FLOAT" for argument in _ARGUMENTS)
    return Statement(
        f"CREATE OR REPLACE FUNCTION {name.sql}({arguments})\nCOPY GRANTS\nRETURNS FLOAT\nLANGUAGE PYTHON\nIMMUTABLE\n"
        f"RUNTIME_VERSION = '{RUNTIME}'\nPACKAGES = ({', '.join(map(literal, packages))})\nHANDLER = {literal(handler)}\n"
        f"COMMENT = {literal(comment(pipeline, 'RFM score by rules'))}\nAS {body(text)}"
    )


def _checked(name: str, rules: Rules) -> list[tuple[float, float]]:
    found = [(float(bound), float(score)) for bound, score in rules.get(name, ())]
    bounds = [bound for bound, _ in found]
    if not found or bounds != sorted(set(bounds), reverse=name != "recency"):
        order = "ascending" if name == "recency" else "descending"
        raise CallerError(f"the {name} rules of the RFM score have the bounds {bounds}; write at least one, {order}")
    return found


def _find(warehouse: Warehouse, routine: Routine) -> list[Existing]:
    schema = ".".join(identifier(part) for part in routine.name.parts[:-1])
    answer = warehouse.run(Statement(f"SHOW USER {routine.kind}S LIKE {literal(routine.name.last)} IN SCHEMA {schema}"))
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return [
        Existing(f"{routine.kind.lower()} {routine.name}", owner_of(str(row["description"] or "")))
        for row in rows
        if row["name"] == routine.name.last
    ]
