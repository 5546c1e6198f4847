"""A pipeline over a table without time."""

from __future__ import annotations

from pathlib import Path

SNAPSHOT = """name: telco
entity: {customer_id: VARCHAR}
sources: {telco: {table: RAW.TELCO}}
features: [{view: telco_rows, version: 1, define: features.sql}]
label: {define: label.sql, column: CHURN}
training: {split: {by: entity}}
serving: {function: PREDICT_TELCO}
batch: {table: ANALYTICS.TELCO_SCORES}
"""


def snapshot(folder: Path, old: str = "", new: str = "") -> Path:
    """The pipeline's folder. ``old``: a part of the file to replace by ``new``."""
    assert old in SNAPSHOT
    (folder / "pipeline.yaml").write_text(SNAPSHOT.replace(old, new, 1) if old else SNAPSHOT)
    (folder / "features.sql").write_text("SELECT customer_id, plan FROM telco")
    (folder / "label.sql").write_text("SELECT customer_id, churn FROM telco")
    return folder
