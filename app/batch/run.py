"""Unloads the rows, predicts them with the registered artefact, loads the scores and merges them.

The prediction runs in this process with the endpoint's code, so both give the same float32. It is written as double, which is
what SQL reads from the service, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.batch.plan import AS_OF, CHUNK_ROWS, LABEL, SCORE, BatchPlan
from app.batch.result import BatchResult
from app.errors import PermanentError
from app.export.manifest import Export
from app.export.run import run_export
from app.ports import ObjectStore, Warehouse
from app.registry.artifact import fetched
from sagemaker_entry.contract import Contract
from sagemaker_entry.model import Model, encode_columns


def run_batch(
    plan: BatchPlan,
    table: str,
    warehouse: Warehouse,
    store: ObjectStore,
    tell: Callable[[str], None] = lambda _: None,
) -> BatchResult:
    """Score and write back. Raises PermanentError if rows were lost or duplicated on the way; nothing is merged then."""
    warehouse.run(plan.create)
    if plan.add_label and LABEL not in {column.name for column in warehouse.describe(plan.table)}:
        warehouse.run(plan.add_label)
    tell("unloading the rows to score")
    export = run_export(plan.unload, warehouse, store)
    store.delete_below(plan.predictions_uri)
    with fetched(store, plan.version.artifact_uri, plan.version.artifact_sha256) as artifact:
        model = Model.load(artifact.folder)
        for index, file in enumerate(export.files):
            _score_file(model, export, file.name, f"{plan.predictions_uri}part-{index:05d}.parquet", store)
            tell(f"scored file {index + 1} of {len(export.files)}")
    for statement in plan.load:
        warehouse.run(statement)
    loaded, scores = (int(value) for value in warehouse.run(plan.count_loaded).rows[0])
    if loaded != export.rows or scores != export.rows:
        raise PermanentError(
            f"{export.rows:,} rows were scored but {loaded:,} loaded, {scores:,} with a score; nothing was merged"
        )
    tell("merging")
    answer = warehouse.run(plan.merge)
    counts = dict(zip(answer.columns, answer.rows[0], strict=True))
    warehouse.run(plan.drop)
    inserted, updated = (int(counts.get(f"number of rows {word}", 0)) for word in ("inserted", "updated"))
    return BatchResult(table, plan.version.version, export.rows, inserted, updated)


def _score_file(model: Model, export: Export, name: str, target_uri: str, store: ObjectStore) -> None:
    """Predictions of one file, in its order, as Parquet on S3: key, AS_OF, SCORE."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="snowsage-batch-") as folder:
        source, target = Path(folder) / "rows.parquet", Path(folder) / "scores.parquet"
        store.download(f"{export.uri}{name}", source)
        with pq.ParquetFile(source) as reader:
            writer = None
            for chunk in reader.iter_batches(batch_size=CHUNK_ROWS):
                scored = _score_chunk(model, export.made_contract(), chunk)
                writer = writer or pq.ParquetWriter(target, scored.schema)
                writer.write_table(scored)
            if writer is not None:
                writer.close()
                store.write(target_uri, target.read_bytes())


def _score_chunk(model: Model, contract: Contract, chunk: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    raw = {name: chunk.column(name).to_numpy(zero_copy_only=False) for name in contract.names}
    scores = model.predict(encode_columns(contract, raw))
    identity = {name: chunk.column(name) for name in (*contract.key, AS_OF)}
    return pa.table({**identity, SCORE: scores.astype(np.float64)})
