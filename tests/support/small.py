"""A small copy of the churn example: fewer customers and fewer rounds, so a run takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples/churn"


def small_churn(folder: Path, customers: int = 1500) -> Path:
    """Copy the example to ``folder``, with only the first ``customers``."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    seed = folder / "data/orders.parquet"
    orders = pq.read_table(seed)
    pq.write_table(orders.filter(pc.field("customer_id") <= customers), seed)
    path = folder / "pipeline.yaml"
    body = yaml.safe_load(path.read_text())
    body["logical_date"] = str(body["logical_date"])
    body["training"]["hyperparameters"]["n_estimators"] = 20
    body["training"]["gate"] = {"metric": "auc", "at_least": 0.6}
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return folder
