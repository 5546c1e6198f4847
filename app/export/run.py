"""Unloads with COPY INTO, compares the files with the warehouse's count, and writes the manifest last.

A folder without a manifest is left over from a killed run; it is emptied before the unload.
"""

from __future__ import annotations

from app.errors import NotFound, PermanentError
from app.export.check import judge_check
from app.export.manifest import Export, ExportedFile
from app.export.plan import UnloadPlan
from app.ports import ObjectStore, Warehouse


def run_export(plan: UnloadPlan, warehouse: Warehouse, store: ObjectStore) -> Export:
    """Unload, or find the unload that is there. Raises CallerError for data that cannot be used."""
    if (found := find_export(store, plan)) is not None:
        return found
    rows, *_ = [judge_check(check, warehouse.run(check.statement).rows) for check in plan.checks]
    store.delete_below(plan.uri)
    answer = warehouse.run(plan.copy)
    columns = [name.lower() for name in answer.columns]
    written = {
        str(row[columns.index("file_name")]).rpartition("/")[2]: int(row[columns.index("row_count")])
        for row in answer.rows
    }
    stored = {item.uri.rpartition("/")[2]: item.size_bytes for item in store.list_below(plan.data_uri)}
    if missing := sorted(set(written) - set(stored)):
        raise PermanentError(
            f"the unload wrote {', '.join(missing)}, which did not arrive at {plan.data_uri}; run it again"
        )
    if sum(written.values()) != rows:
        raise PermanentError(
            f"the unload wrote {sum(written.values()):,} rows, the query had {rows:,}: the data changed meanwhile; run it again"
        )
    files = tuple(ExportedFile(f"data/{name}", count, stored[name]) for name, count in sorted(written.items()))
    contract = plan.contract
    export = Export(plan.uri, contract.to_dict(), rows, files, (*contract.key, contract.as_of))
    store.write(f"{plan.uri}manifest.json", export.to_json())
    return export


def find_export(store: ObjectStore, plan: UnloadPlan) -> Export | None:
    """The finished unload in the plan's folder, if it has the plan's contract."""
    try:
        found = Export.from_json(store.read(f"{plan.uri}manifest.json"))
    except NotFound:
        return None
    return found if found.made_contract() == plan.contract else None
