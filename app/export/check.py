"""The counts of a query's rows that show data which a job could not use, before anything is unloaded or paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import CallerError
from app.ports import Row
from app.spec import Pipeline
from app.sql import Statement, identifier
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.objectives import LABELS, kind_of
from sagemaker_entry.split import SplitError, split_by_time

#: The largest 32-bit float, in which the model holds numbers.
_LARGEST = "3.4028234663852886e38"


@dataclass(frozen=True)
class LabelRule:
    """What the label must be. ``pipeline`` has the objective, the split and the horizon."""

    name: str
    pipeline: Pipeline

    @property
    def binary(self) -> bool:
        return kind_of(self.pipeline.training.objective) == "binary"

    @property
    def wanted(self) -> str:
        """The values that the objective can learn, in words."""
        objective = self.pipeline.training.objective
        return "0 or 1" if self.binary else f"a finite number {LABELS.get(objective, '')}".strip()


@dataclass(frozen=True)
class Check:
    """``statement``: one row of counts for each as-of time. ``label``: None for rows to score.

    ``unfit_allowed``: rows with a value that the model does not take stay without a score; they are no fault.
    """

    statement: Statement
    contract: Contract
    label: LabelRule | None = None
    unfit_allowed: bool = False


def make_check(query: str, contract: Contract, label: LabelRule | None = None, *, unfit_allowed: bool = False) -> Check:
    """The check of ``query``. Its counts: the as-of time; rows; distinct rows by key and time; values of the label, those that the
    objective cannot learn, the least and the greatest; for each feature its values, and those that the model does not take.
    """
    identity = ", ".join(identifier(name) for name in (*contract.key, contract.as_of))
    parts = [identifier(contract.as_of), "COUNT(*)", f"COUNT(DISTINCT {identity})"]
    if label is not None:
        name = identifier(label.name)
        parts += [f"COUNT({name})", f"COUNT_IF({_outside(label)})", f"MIN({name})", f"MAX({name})"]
    binds: list[str] = []
    for column in contract.columns:
        unfit, values = _unfit(column)
        parts += [f"COUNT({identifier(column.name)})", f"COUNT_IF({unfit})"]
        binds += values
    text = f"SELECT {', '.join(parts)}\nFROM (\n{query}\n)\nGROUP BY {identifier(contract.as_of)}"
    return Check(Statement(text, tuple(binds)), contract, label, unfit_allowed)


def judge_check(check: Check, counts: Sequence[Row]) -> int:
    """The number of rows. Raises CallerError with all faults that make them useless."""
    rows = sum(int(row[1]) for row in counts)
    if rows == 0:
        raise CallerError(_no_rows(check))
    distinct = sum(int(row[2]) for row in counts)
    faults = []
    if rows != distinct:
        faults.append(
            f"{rows:,} rows but {distinct:,} distinct ({', '.join((*check.contract.key, check.contract.as_of))}); `snowsage "
            "features` repairs slices that hold rows twice"
        )
    first = 3
    if check.label is not None:
        faults += _label_faults(check.label, [(row[0], int(row[1]), *row[3:7]) for row in counts])
        first += 4
    for index, column in enumerate(check.contract.columns):
        at = first + 2 * index
        known, unfit = (sum(int(row[position] or 0) for row in counts) for position in (at, at + 1))
        # Rows to score may lack a feature altogether; a model cannot learn from a feature that is always NULL.
        if known == 0 and check.label is not None:
            faults.append(f"every value of {column.name} is NULL; correct its definition or leave it out")
        if unfit and not check.unfit_allowed:
            faults.append(_unfit_fault(check, column, unfit))
    if faults:
        what = "the data cannot be used" if check.label is not None else "the rows to score cannot be used"
        raise CallerError(f"{what}: " + "; ".join(faults))
    return rows


def _no_rows(check: Check) -> str:
    if check.label is None:
        return "there are no rows: no entity has features at the logical date; check the sources and the logical date"
    return (
        "there are no rows: no entity has both features and a label at any as-of time; check that the label returns the keys "
        f"({', '.join(check.contract.key)}) that the first view returns, then the sources and the logical date"
    )


def _outside(label: LabelRule) -> str:
    """The condition for a value that the objective cannot learn. Snowflake orders NaN above every number."""
    name, bounds = identifier(label.name), LABELS.get(label.pipeline.training.objective)
    if label.binary:
        return f"{name} NOT IN (0, 1)"
    tests = [f"ABS({name}) > {_LARGEST}"]
    if bounds is not None:
        tests.append(f"{name} {'<=' if '(' in bounds.open_ else '<'} {bounds.least:g}")
        tests += [f"{name} > {bounds.most:g}"] if bounds.most < float(_LARGEST) else []
    return " OR ".join(tests)


def _unfit(column: Column) -> tuple[str, tuple[str, ...]]:
    """The condition for a value that the model does not take, and its binds."""
    name = identifier(column.name)
    if column.unknown == "null":
        return "FALSE", ()
    if column.dtype == "category":
        return f"{name} NOT IN ({', '.join('?' for _ in column.categories)})", column.categories
    return f"ABS({name}) > {_LARGEST} AND {name} <> 'NaN'::FLOAT", ()  # NaN is missing, as NULL is


def _unfit_fault(check: Check, column: Column, count: int) -> str:
    values = f"{count:,} value{'' if count == 1 else 's'}"
    if column.dtype == "category":
        text = f"{column.name} has {values} outside its declared categories; add them to the view's categories"
    else:
        text = f"{column.name} has {values} beyond the range of a 32-bit float; bound them in the view"
    if check.label is None:
        text += ", or write on_bad_row: null in serving, and only those entities have no score"
    return text


def _label_faults(label: LabelRule, counts: list[tuple[Any, ...]]) -> list[str]:
    """``counts``: (as-of time, rows, values of the label, values that cannot be learned, least, greatest)."""
    rows, known, outside = (sum(int(row[position] or 0) for row in counts) for position in (1, 2, 3))
    name, objective = label.name, label.pipeline.training.objective
    faults = []
    if known < rows:
        faults.append(f"the label {name} is NULL in {rows - known:,} rows; leave out entities without a label")
    if outside:
        faults.append(
            f"the label {name} must be {label.wanted} for {objective}; it is not in {outside:,} of {rows:,} rows"
        )
    if not faults:
        faults += _part_faults(label, [(row[0], row[1], row[4], row[5]) for row in counts])
    return faults


def _part_faults(label: LabelRule, counts: list[tuple[datetime, int, Any, Any]]) -> list[str]:
    """Parts of the split that no model can learn from or be measured on."""
    pipeline, parts = label.pipeline, {"": [row[0] for row in counts]}
    if not pipeline.is_snapshot and len({value for row in counts for value in row[2:]}) > 1:
        split = pipeline.training.split
        try:
            cut = split_by_time((row[0] for row in counts), pipeline.horizon, split.validation, split.test)
        except SplitError as error:
            return [f"{error}: only these times have rows with a label; check the sources and label.as_of"]
        parts = {"train": [*cut.train], "validation": [*cut.validation], "test": [*cut.test]}
    what = "class" if label.binary else "value"
    return [
        f"the label {label.name} has one {what} only {f'in the {part} part' if part else 'in all rows'} ({rows:,} rows), and a "
        "model cannot learn or be measured there; check its definition, its horizon and its as-of times"
        for part, times in parts.items()
        if (rows := sum(int(row[1]) for row in counts if row[0] in times))
        and len({value for row in counts if row[0] in times for value in row[2:]}) < 2
    ]
