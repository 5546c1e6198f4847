"""What a view's columns must be: names that every later step takes, and keys that keep their values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.errors import CallerError
from app.features import store
from app.ports import ColumnType
from app.spec import FeatureView, Pipeline
from app.spec.values import alias_of, feature_name_fault
from app.sql import Name

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


def refuse_label(view: str, features: Iterable[ColumnType], label: str) -> None:
    """Raise CallerError for a feature with the label's name, in any case of letters."""
    if name := next((column.name for column in features if column.name.upper() == label.upper()), None):
        raise CallerError(
            f"view {view}: the name {label} is used twice: it is the label, and as a feature the model would know what it "
            f"predicts; leave {name} out of the view"
        )


def refuse_names_taken(pipeline: Pipeline, features: Mapping[str, Iterable[ColumnType]]) -> None:
    """Raise CallerError for names that two features have, or a feature and a key."""
    # Names that differ in case only are one name for a caller that writes them without quotes.
    names = [column.name.upper() for columns in features.values() for column in columns]
    taken = {name.upper() for name in (*pipeline.key, store.AS_OF)}
    if twice := sorted({name for name in names if names.count(name) > 1 or name in taken}):
        raise CallerError(f"features: the name {', '.join(twice)} is used twice; give each feature a different name")


def refuse_rules(view: FeatureView, features: Iterable[ColumnType]) -> None:
    """Raise CallerError for ``categories`` and ``unknown`` of a column that is no text feature of the view."""
    texts = {column.name: column.kind == "text" for column in features}
    rules = view.unknown if isinstance(view.unknown, dict) else {}
    for key, named in (("categories", view.categories), ("unknown", rules)):
        if missing := sorted(set(named) - texts.keys()):
            near = difflib.get_close_matches(missing[0], texts, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its features are {', '.join(texts)}"
            raise CallerError(
                f"view {view.view}: {key} names {', '.join(missing)}, which the view does not return as a feature; {hint}"
            )
        if others := sorted(name for name in named if not texts[name]):
            raise CallerError(f"view {view.view}: {', '.join(others)} is not a text; leave it out of {key}")


def refuse_types(view: FeatureView, features: Iterable[ColumnType]) -> None:
    """Raise CallerError for columns that are no numbers, booleans or texts, with the expression to write for each."""
    faults = [column for column in features if column.kind not in ("number", "boolean", "text")]
    if faults:
        raise CallerError("\n".join(f"view {view.view}: {_instead(view.define, column)}" for column in faults))


def in_language(define: str, sql: str, snowpark: str) -> str:
    """The one of two expressions that is in the language of a definition."""
    return snowpark if ":" in define else sql


@dataclass(frozen=True)
class _Instead:
    """What can stand for a column: how, in both languages, with ``{name}`` and ``{alias}``, and the alias's end."""

    how: str
    sql: str
    snowpark: str
    suffix: str


_AGE = _Instead(
    "its age is a number",
    "DATEDIFF('day', {name}, :as_of)",
    "F.datediff('day', F.col({name!r}), F.lit(as_of))",
    "_AGE_DAYS",
)
_ELEMENT = _Instead(
    "an element of it can be a number", "{name}:key::FLOAT", "F.col({name!r})['key'].cast('float')", "_KEY"
)
_INSTEAD = {
    "TIME": _Instead("its hour is a number", "HOUR({name})", "F.hour(F.col({name!r}))", "_HOUR"),
    "ARRAY": _Instead("its size is a number", "ARRAY_SIZE({name})", "F.array_size(F.col({name!r}))", "_SIZE"),
    "OBJECT": _ELEMENT,
    "VARIANT": _ELEMENT,
    "BINARY": _Instead("its length is a number", "LENGTH({name})", "F.length(F.col({name!r}))", "_LENGTH"),
}
#: Ends of a date's name that its age does not need.
_DATED = re.compile(r"_(DATE|TIME|TIMESTAMP|TS|DT|AT|ON)$")


def _instead(define: str, column: ColumnType) -> str:
    """What to write instead of a column whose type cannot be a feature."""
    article = "an" if column.type[:1] in ("A", "O") else "a"
    kind = f"{article} {column.type}" if column.type else "of a type that XGBoost cannot take"
    found = _INSTEAD.get(column.type, _AGE if column.kind == "time" else None)
    if found is None:
        return f"{column.name} is {kind}, neither number, boolean nor text; turn it into a number in {define}, or leave it out"
    name, alias = str(Name.of(column.name)), _DATED.sub("", alias_of(column.name)) + found.suffix
    written = in_language(define, f"{found.sql} AS {{alias}}", f"{found.snowpark}.alias({{alias!r}})")
    return (
        f"{column.name} is {kind}, neither number, boolean nor text; {found.how}: write `{written.format(name=name, alias=alias)}` "
        f"in {define}, or leave it out"
    )


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
