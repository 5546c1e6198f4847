"""Words the faults of a pipeline file: line, key, what is wrong and what to write.

Pydantic finds the faults; none of its own texts is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from app.spec.schema import Pipeline
from app.spec.values import Wrong

Keys = tuple[str | int, ...]

_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "a text",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "tuple": "a list",
    "list": "a list",
    "date": "a date such as 1998-07-01",
    "datetime": "a date such as 1998-07-01",
}

#: What YAML makes of a text without quotes.
_READ_AS = ((bool, "true or false"), (int | float, "a number"), (date, "a date"), (type(None), "nothing"))

#: Characters of a wrong value in a message.
_SHOWN = 40


@dataclass(frozen=True)
class Places:
    """Where keys are in a file. ``lines``: of each key path. ``plain``: values that have no quotes, as they are written."""

    path: Path
    lines: Mapping[Keys, int]
    plain: Mapping[Keys, str]

    def at(self, keys: Keys) -> str:
        """``file:line: a.b.c``, at the nearest key that the file has."""
        return f"{self.path}:{self.line(keys)}: {'.'.join(map(str, keys)) or 'the file'}"

    def line(self, keys: Keys) -> int:
        """The line of the nearest key path that the file has."""
        while keys not in self.lines:
            keys = keys[:-1]
        return self.lines[keys]


def explain(places: Places, faults: list[Any]) -> list[str]:
    """One line for each fault, in the file's order of keys; what only follows from another fault is left out."""
    meant = {(*keys[:-1], near) for keys, near in _misspelt(faults)}
    above = {tuple(fault["loc"][:length]) for fault in faults for length in range(len(fault["loc"]))}
    return [
        line
        for fault in faults
        if not (fault["type"] == "missing" and tuple(fault["loc"]) in meant)
        # A list of faulty items is too short for pydantic, which does not count them.
        and not (fault["type"] == "too_short" and tuple(fault["loc"]) in above)
        for line in _lines(places, fault)
    ]


def _misspelt(faults: list[Any]) -> Iterator[tuple[Keys, str]]:
    """Unknown keys, each with the known key that was probably meant."""
    for fault in faults:
        if fault["type"] == "extra_forbidden" and (near := _nearest(tuple(fault["loc"]))):
            yield tuple(fault["loc"]), near


def _nearest(keys: Keys) -> str | None:
    block = _block_at(keys[:-1])
    near = difflib.get_close_matches(str(keys[-1]), list(block.model_fields) if block else [], n=1)
    return near[0] if near else None


def _lines(places: Places, fault: Any) -> Iterator[str]:
    keys: Keys = tuple(key for key in fault["loc"] if key != "[key]")
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, Wrong):
        for below, text in cause.faults:
            yield f"{places.at((*keys, *below))}: {text}"
        return
    example = _example(keys)
    if fault["type"] == "missing" and isinstance(last := keys[-1], int):
        keys, text = keys[:-1], f"needs more than {_count(last)}"
        example = _example(keys)
    elif fault["type"] == "missing":
        yield f"{places.at(keys)}: is missing; " + (
            f"write, for example, `{keys[-1]}: {example}`" if example else "add it"
        )
        return
    elif fault["type"] == "extra_forbidden":
        block, near = _block_at(keys[:-1]), _nearest(keys)
        known = ", ".join(block.model_fields) if block else ""
        yield f"{places.at(keys)}: unknown key; " + (f"did you mean {near}?" if near else f"known keys are {known}")
        return
    else:
        text, example = _text(places, keys, fault, example)
    yield f"{places.at(keys)}: {text}" + (f"; write, for example, `{example}`" if example else "")


def _text(places: Places, keys: Keys, fault: Any, example: str) -> tuple[str, str]:
    """(what is wrong, the example to show) of a value that is not accepted."""
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"]).rstrip("."), example
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]}, not {_shown(value)}", example
    if kind == "too_short":
        return f"needs at least {_count(context['min_length'])}", example
    if kind == "too_long":
        return f"takes at most {_count(context['max_length'])}", example
    if kind == "literal_error":
        return f"must be {context['expected']}, not {_shown(value)}", example
    if value is None:
        return "has no value", example
    wanted = _WANTED.get(kind.partition("_")[0])
    if wanted == "a text" and keys in places.plain and not isinstance(value, str):
        read = next((words for of, words in _READ_AS if isinstance(value, of)), "no text")
        return f"YAML reads {places.plain[keys]} as {read}; write it in quotes: '{places.plain[keys]}'", ""
    if wanted is None or kind.endswith("pattern_mismatch"):
        return f"{_shown(value)} is not accepted", example
    return f"must be {wanted}, not {_shown(value)}", example


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = (
        yaml.safe_dump(value, width=1000).removesuffix("\n").removesuffix("\n...").strip()
        if value != ""
        else "an empty text"
    )
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _count(number: int) -> str:
    return f"{number} value{'' if number == 1 else 's'}"


def _block_at(keys: Keys) -> type[BaseModel] | None:
    """The model that describes the mapping at ``keys``."""
    block: type[BaseModel] | None = Pipeline
    for key in keys:
        if block is None:
            return None
        if isinstance(key, int) or key not in block.model_fields:
            continue  # a list's index, or a key of a mapping by name: the block is the element's
        block = next(_models_in(block.model_fields[key].annotation), None)
    return block


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _example(keys: Keys) -> str:
    block = _block_at(keys[:-1]) if keys else None
    field = block.model_fields.get(str(keys[-1])) if block else None
    if field is None:
        return ""
    examples = field.examples or ([field.default] if isinstance(field.default, str | int | float) else [])
    return (
        yaml.safe_dump(examples[0], default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
        if examples
        else ""
    )
