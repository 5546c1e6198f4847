"""What a view's columns must be: names that every later step takes, and keys that keep their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.errors import CallerError
from app.features import store
from app.ports import ColumnType
from app.spec.values import feature_name_fault

_KINDS = {"NUMBER": "number", "VARCHAR": "text", "TIMESTAMP_NTZ": "time"}


def refuse_names(view: str, columns: Iterable[ColumnType]) -> None:
    """Raise CallerError for names that the SQL function, XGBoost or the feature store cannot take."""
    names = [column.name for column in columns]
    reserved = sorted(name for name in names if name.upper() in store.RESERVED)
    if reserved:
        raise CallerError(f"view {view}: {', '.join(reserved)} is reserved by the feature store; use another name")
    if faults := [fault for name in names if (fault := feature_name_fault(name))]:
        raise CallerError(f"view {view}: {'; '.join(faults)}")


def refuse_keys(view: str, columns: Iterable[ColumnType], entity: Mapping[str, str]) -> None:
    """Raise CallerError for a key whose values would become others in the entity's type."""
    for column in columns:
        declared = entity.get(column.name)
        if declared is not None and (fault := _key_fault(column, declared)):
            raise CallerError(f"view {view}: the key {column.name} {fault}")


def _key_fault(column: ColumnType, declared: str) -> str:
    name = column.name
    as_text = f"return TO_VARCHAR({name}) AS {name} in every view and in the label"
    if column.kind == "number" and not column.whole:
        if declared == "VARCHAR":
            return f"is a number with decimals, whose text differs from view to view; {as_text}"
        return (
            f"is a number with decimals, and the entity's NUMBER is whole, so 1.5 and 2.5 would become other keys; return "
            f"{name}::NUMBER(38, 0) AS {name} if its values are whole, or {as_text}, and write entity: {{{name}: VARCHAR}}"
        )
    if column.kind == "text" and declared == "NUMBER":
        return f"is text, and the entity declares NUMBER; write entity: {{{name}: VARCHAR}}, or return {name}::NUMBER AS {name}"
    if column.kind not in ("number", "text"):
        return f"is neither a number nor a text; {as_text}, and write entity: {{{name}: VARCHAR}}"
    return ""


def refuse_other_entity(view: str, present: tuple[ColumnType, ...], entity: Mapping[str, str]) -> None:
    """Raise CallerError if the view's table was made with another entity: its key cannot be changed."""
    kinds = {column.name: column.kind for column in present}
    if present and any(kinds.get(name) != _KINDS[declared] for name, declared in entity.items()):
        stored = ", ".join(column.name for column in present if column.name not in store.RESERVED)
        raise CallerError(
            f"view {view}: {store.view_table(view)} was made with another entity than ({_shown(entity)}): its columns are "
            f"{stored}; give the view another name, or drop that table if nothing else uses it"
        )


def _shown(entity: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in entity.items())
