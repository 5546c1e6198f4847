"""Unloads the rows, predicts them with the registered artefact, loads the scores and merges them.

The prediction runs in this process with the endpoint's code, so both give the same float32. It is written as double, which is
what SQL reads from the service, too.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.batch.plan import AS_OF, CHUNK_ROWS, ERROR, SCORE, BatchPlan, judge_load
from app.batch.result import BatchResult
from app.export.manifest import Export
from app.export.run import run_export
from app.ports import ObjectStore, Warehouse
from app.registry.artifact import fetched, load
from sagemaker_entry.contract import Contract
from sagemaker_entry.model import Model

if TYPE_CHECKING:
    from sagemaker_entry.arrow.prediction import Predicted


def run_batch(
    plan: BatchPlan,
    table: str,
    warehouse: Warehouse,
    store: ObjectStore,
    tell: Callable[[str], None] = lambda _: None,
) -> BatchResult:
    """Score and write back. Raises PermanentError if rows were lost or duplicated on the way; nothing is merged then."""
    warehouse.run(plan.create)
    present = {column.name for column in warehouse.describe(plan.table)} if plan.adapt else set()
    for name, statement in plan.adapt:
        if not name or name not in present:
            warehouse.run(statement)
    tell("unloading the rows to score")
    export = run_export(plan.unload, warehouse, store)
    store.delete_below(plan.predictions_uri)
    unfit: Counter[str] = Counter()
    with fetched(store, plan.version.artifact_uri, plan.version.artifact_sha256) as artifact:
        model = load(artifact)
        for index, file in enumerate(export.files):
            target = f"{plan.predictions_uri}part-{index:05d}.parquet"
            unfit += _score_file(model, export, file.name, target, store, unfit_allowed=plan.unfit_allowed)
            tell(f"scored file {index + 1} of {len(export.files)}")
    for statement in plan.load:
        warehouse.run(statement)
    judge_load(export.rows, unfit.total(), warehouse.run(plan.count_loaded).rows[0])
    tell("merging")
    answer = warehouse.run(plan.merge)
    counts = dict(zip(answer.columns, answer.rows[0], strict=True))
    warehouse.run(plan.drop)
    inserted, updated = (int(counts.get(f"number of rows {word}", 0)) for word in ("inserted", "updated"))
    return BatchResult(table, plan.version.version, export.rows - unfit.total(), inserted, updated, dict(unfit))


def _score_file(
    model: Model, export: Export, name: str, target_uri: str, store: ObjectStore, *, unfit_allowed: bool
) -> Counter[str]:
    """Write the predictions of one file, in its order, as Parquet on S3: key, AS_OF, SCORE, ERROR.

    Returns the number of rows without a score by what is wrong with them.
    """
    with tempfile.TemporaryDirectory(prefix="snowsage-batch-") as folder:
        source, target = Path(folder) / "rows.parquet", Path(folder) / "scores.parquet"
        store.download(f"{export.uri}{name}", source)
        unfit = score_parquet(model, export.made_contract(), source, target, unfit_allowed=unfit_allowed)
        if target.exists():
            store.write(target_uri, target.read_bytes())
    return unfit


def score_parquet(model: Model, contract: Contract, source: Path, target: Path, *, unfit_allowed: bool) -> Counter[str]:
    """Write the predictions of ``source`` into the new file ``target``, in its order: key, AS_OF, SCORE, and ERROR if
    ``unfit_allowed``. There is no file for no rows.

    Returns the number of rows without a score by what is wrong with them; without ``unfit_allowed`` such a row raises
    ContractViolation.
    """
    from sagemaker_entry.arrow.columns import Columns
    from sagemaker_entry.arrow.prediction import predict

    unfit: Counter[str] = Counter()

    def scored(chunk: Any) -> Any:
        found = predict(model, Columns.of(contract, chunk))
        if not unfit_allowed:
            found.refuse_unfit()
        unfit.update(found.counts())
        return predictions(contract, chunk, found, with_errors=unfit_allowed)

    rewrite_parquet(source, target, contract, scored)
    return unfit


def rewrite_parquet(source: Path, target: Path, contract: Contract, rewrite: Callable[[Any], Any]) -> None:
    """Write what ``rewrite`` makes of each record batch of ``source``, in its order. Categories are read as dictionaries, so
    that a text is looked up once for all rows that have it."""
    import pyarrow.parquet as pq

    texts = [column.name for column in contract.columns if column.dtype == "category"]
    with pq.ParquetFile(source, read_dictionary=texts) as reader, ExitStack() as stack:
        writer = None
        for chunk in reader.iter_batches(batch_size=CHUNK_ROWS):
            table = rewrite(chunk)
            writer = writer or stack.enter_context(pq.ParquetWriter(target, table.schema))
            writer.write_table(table)


def predictions(contract: Contract, chunk: Any, found: Predicted, *, with_errors: bool) -> Any:
    """The table of predictions of a record batch, in its order: key, AS_OF, SCORE, and ERROR if ``with_errors``."""
    import numpy as np
    import pyarrow as pa

    without = found.unfit > 0
    identity = {name: chunk.column(name) for name in (*contract.key, AS_OF)}
    scores = found.scores.astype(np.float64)
    table = pa.table({**identity, SCORE: pa.array(scores, mask=without if without.any() else None)})
    if with_errors:
        table = table.append_column(ERROR, _errors(found))
    return table


def _errors(found: Predicted) -> Any:
    """By row, what is wrong with it, or NULL."""
    import pyarrow as pa

    if not found.unfit.any():
        return pa.nulls(len(found.unfit), pa.string())
    numbers = pa.array(found.unfit.astype("int32") - 1, mask=found.unfit == 0)
    return pa.DictionaryArray.from_arrays(numbers, pa.array(found.reasons, pa.string())).dictionary_decode()
