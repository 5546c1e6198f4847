"""The runs whose models may answer: what they were trained on is kept."""

from __future__ import annotations

from app.errors import NotFound
from app.ports import Warehouse
from app.registry.versions import REGISTRY
from app.sql import Statement

_FIND = Statement(f"SELECT DISTINCT RUN_ID FROM {REGISTRY.sql} WHERE STAGE IN ('candidate', 'production')")


def runs_in_use(warehouse: Warehouse) -> set[str]:
    """The runs of all models' versions that are live or may become it. Empty if no version was registered yet."""
    try:
        return {str(row[0]) for row in warehouse.run(_FIND).rows}
    except NotFound:
        return set()
