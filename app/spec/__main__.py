"""``python -m app.spec schema`` or ``guide``: prints the two documents of the pipeline file that are made from its models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.spec import Pipeline, json_schema

_HEAD = """# The pipeline file

A pipeline is a folder with a `pipeline.yaml`, and the Python and SQL files that it names. Every key is below; errors name
file, line, key and what to write instead. Made from the models in `app/spec/schema` by `make docs`.

| key | meaning | |
|---|---|---|
"""


def schema() -> str:
    """The JSON Schema."""
    return json.dumps(json_schema(), indent=2) + "\n"


def guide() -> str:
    """A table of all keys."""
    return _HEAD + "".join(f"| `{key}` | {meaning} | {note} |\n" for key, meaning, note in _rows(Pipeline, ""))


def _rows(block: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in block.model_fields.items():
        inner = next(_blocks(field.annotation), None)
        yield f"{prefix}{name}", field.description or "", _note(field, inner)
        if inner is not None:
            many = "[]." if "tuple" in str(field.annotation) else ".<name>." if "dict" in str(field.annotation) else "."
            yield from _rows(inner, f"{prefix}{name}{many}")


def _note(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    """Whether the key is required; its default or an example."""
    example = field.examples[0] if field.examples else None
    shown = "" if example is None or inner else f", e.g. `{_yaml(example)}`"
    if field.is_required():
        return f"required{shown}"
    if isinstance(field.default, str | int | float | bool):
        return f"default `{_yaml(field.default)}`"
    return f"optional{shown}"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...").strip()


def _blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _blocks(part)


if __name__ == "__main__":
    sys.stdout.write({"schema": schema, "guide": guide}[sys.argv[1]]())
