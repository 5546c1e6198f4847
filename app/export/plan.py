"""Decides an unload: the query, the COPY statement, and the checks that prevent a useless training job."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import CallerError
from app.features.training_set import FeatureSet, training_query
from app.ports import Row
from app.runs.identity import Run
from app.sql import Name, Statement, identifier, stage_path
from sagemaker_entry.contract import Contract

#: Size of one file: ten million rows make a few files, which several readers can read at the same time.
MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class UnloadPlan:
    """Unloads a query to Parquet files below ``uri``. ``check``: a query for one row of counts.

    ``label``: the label's column in training data, None in rows to score. ``two_classes``: the label must have both.
    """

    uri: str
    data_uri: str
    copy: Statement
    check: Statement
    contract: Contract
    label: str | None
    two_classes: bool


def plan_export(features: FeatureSet, run: Run, bucket: str, stage: Name, classification: bool) -> UnloadPlan:
    """The training set, with label and sort key. ``classification``: the label must have two classes."""
    contract = features.made_contract()
    query = training_query(features)
    return plan_unload(query, contract, run, "export", bucket, stage, contract.label, classification)


def plan_unload(
    query: str,
    contract: Contract,
    run: Run,
    place: str,
    bucket: str,
    stage: Name,
    label: str | None = None,
    two_classes: bool = False,
) -> UnloadPlan:
    """Unload ``query`` below the folder ``place`` of the run."""
    uri = run.uri(bucket, place)
    return UnloadPlan(
        uri=uri,
        data_uri=f"{uri}data/",
        copy=Statement(
            f"COPY INTO {stage_path(stage, f'{run.key(place)}data/')}\nFROM (\n{query}\n)\n"
            f"FILE_FORMAT = (TYPE = PARQUET COMPRESSION = SNAPPY)\nHEADER = TRUE MAX_FILE_SIZE = {MAX_FILE_BYTES} "
            # The query id in the names separates these files from those of a killed run's COPY, which may still be running.
            "DETAILED_OUTPUT = TRUE INCLUDE_QUERY_ID = TRUE"
        ),
        check=_check(query, contract, label),
        contract=contract,
        label=label,
        two_classes=two_classes,
    )


def _check(query: str, contract: Contract, label: str | None) -> Statement:
    """The counts to check: rows; distinct rows by key and time; (values, distinct values) of the label; for each feature its
    values, and for a category the values outside its declared list.
    """
    identity = ", ".join(identifier(name) for name in (*contract.key, contract.as_of))
    parts = ["COUNT(*)", f"COUNT(DISTINCT {identity})"]
    if label is not None:
        parts += [f"COUNT({identifier(label)})", f"COUNT(DISTINCT {identifier(label)})"]
    binds: list[str] = []
    for column in contract.columns:
        parts.append(f"COUNT({identifier(column.name)})")
        if column.dtype == "category":
            marks = ", ".join("?" for _ in column.categories)
            parts.append(f"COUNT_IF({identifier(column.name)} NOT IN ({marks}))")
            binds += column.categories
    return Statement(f"SELECT {', '.join(parts)}\nFROM (\n{query}\n)", tuple(binds))


def judge_check(plan: UnloadPlan, counts: Row) -> int:
    """The number of rows. Raises CallerError with all faults that make them useless."""
    contract, left = plan.contract, [int(value) for value in counts]
    rows, distinct = left.pop(0), left.pop(0)
    if rows == 0:
        what = "entity has features" if plan.label is None else "entity has both features and a label"
        raise CallerError(f"there are no rows: no {what} at any as-of time; check the sources and the logical date")
    faults = []
    if rows != distinct:
        faults.append(f"{rows:,} rows but {distinct:,} distinct ({', '.join((*contract.key, contract.as_of))})")
    if plan.label is not None:
        faults += _label_faults(plan, plan.label, rows, known=left.pop(0), classes=left.pop(0))
    for column in contract.columns:
        # Rows to score may lack a feature altogether; a model cannot learn from a feature that is always NULL.
        if left.pop(0) == 0 and plan.label is not None:
            faults.append(f"every value of {column.name} is NULL; correct its definition or leave it out")
        if column.dtype == "category" and (strange := left.pop(0)):
            faults.append(
                f"{column.name} has {strange:,} values outside its declared categories; add them to the view's categories"
            )
    if faults:
        raise CallerError("the data cannot be used: " + "; ".join(faults))
    return rows


def _label_faults(plan: UnloadPlan, label: str, rows: int, known: int, classes: int) -> list[str]:
    faults = []
    if known < rows:
        faults.append(f"the label {label} is NULL in {rows - known:,} rows")
    if plan.two_classes and classes != 2:
        faults.append(
            f"the label {label} has {classes} class{'' if classes == 1 else 'es'} over {rows:,} rows, two are needed; "
            "check its definition, its horizon and the logical date"
        )
    return faults
