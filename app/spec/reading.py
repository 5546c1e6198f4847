"""Reads a folder with a ``pipeline.yaml`` into a validated pipeline, or reports errors with file, line, key and remedy.

Some keys belong to stages that do not exist yet. They are validated like the rest. A key that would change what an existing
stage does is refused; a key that only adds something is accepted, and ``PipelineFile.not_yet`` says so.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from app.errors import CallerError
from app.spec.schema import Pipeline

FILE_NAME = "pipeline.yaml"


@dataclass(frozen=True)
class PipelineFile:
    """A pipeline and its folder. ``not_yet``: sentences about keys whose stage does not exist yet."""

    pipeline: Pipeline
    folder: Path
    not_yet: tuple[str, ...] = ()


def load(folder: Path) -> PipelineFile:
    """Read ``folder/pipeline.yaml``. Raises CallerError with one line for each fault: file, line, key, what to write."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise CallerError(f"{folder} has no {FILE_NAME}; a pipeline is a folder with that file, such as examples/churn")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CallerError(f"{path}: this is not UTF-8 text: byte {error.start} is no character") from None
    lines, body = _parse(path, text)
    try:
        pipeline = Pipeline.model_validate(body)
    except ValidationError as error:
        raise CallerError("\n".join(_explain(path, lines, fault) for fault in error.errors())) from None
    refused, accepted = _not_yet(pipeline)
    if refused:
        raise CallerError("\n".join(f"{path}:{_line(lines, keys)}: {'.'.join(keys)}: {text}" for keys, text in refused))
    for keys, definition in _definitions(pipeline):
        file = definition.partition(":")[0]
        if not (folder / file).is_file():
            shown = ".".join(map(str, keys))
            raise CallerError(f"{path}:{_line(lines, keys)}: {shown}: {file} is not a file in {folder}")
    return PipelineFile(pipeline, folder, tuple(f"{'.'.join(keys)}: {text}" for keys, text in accepted))


def _definitions(pipeline: Pipeline) -> Iterator[tuple[_Keys, str]]:
    for index, view in enumerate(pipeline.features):
        yield ("features", index, "define"), view.define
    yield ("label", "define"), pipeline.label.define


_Keys = tuple[str | int, ...]
_Note = tuple[tuple[str, ...], str]


def _not_yet(pipeline: Pipeline) -> tuple[list[_Note], list[_Note]]:
    """(refused, accepted) keys whose stage does not exist yet."""
    training, serving = pipeline.training, pipeline.serving
    refused: list[tuple[bool, _Note]] = [
        (
            training.backend == "snowpark",
            (("training", "backend"), "snowpark is not available yet; write sagemaker"),
        ),
    ]
    accepted: list[tuple[bool, _Note]] = [
        (
            training.tune is not None,
            (("training", "tune"), "not available yet: the job trains once, with the given hyperparameters"),
        ),
        (
            serving.instance.max > serving.instance.min,
            (
                ("serving", "instance", "max"),
                f"not available yet: the endpoint stays at {serving.instance.min} instances",
            ),
        ),
        (
            pipeline.schedule is not None,
            (("schedule",), "not available yet: nothing runs by itself; start `snowsage run` yourself"),
        ),
    ]
    return [note for holds, note in refused if holds], [note for holds, note in accepted if holds]


def _parse(path: Path, text: str) -> tuple[dict[_Keys, int], Any]:
    """(line of each key path, the plain value). A duplicate key is an error: YAML would silently keep the last."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[_Keys, int] = {(): 1}
        if node is not None:
            lines.update(_locate(path, node, ()))
        body = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise CallerError(f"{where}: this is not YAML: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # looks like a date but is none, such as 1998-17-01
        raise CallerError(f"{path}: a value cannot be read: {error}") from None
    except RecursionError:
        raise CallerError(f"{path}: an anchor refers to itself; write the values out") from None
    if not isinstance(body, dict):
        raise CallerError(f"{path}:1: a pipeline file is a mapping; it begins with `name: ...`")
    return lines, body


def _locate(path: Path, node: yaml.Node, at: _Keys) -> Iterator[tuple[_Keys, int]]:
    yield at, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise CallerError(f"{path}:{key.start_mark.line + 1}: {'.'.join(map(str, (*at, name)))} occurs twice")
            seen.add(name)
            yield from _locate(path, value, (*at, name))
            yield (*at, name), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _locate(path, value, (*at, index))


def _line(lines: Mapping[_Keys, int], keys: _Keys) -> int:
    """The line of the nearest key path that the file has."""
    while keys not in lines:
        keys = keys[:-1]
    return lines[keys]


_NAMED_KEY = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): ")


def _explain(path: Path, lines: Mapping[_Keys, int], fault: Any) -> str:
    keys: _Keys = tuple(key for key in fault["loc"] if key != "[key]")
    message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    if match := _NAMED_KEY.match(message):  # a check over several keys names the one to change
        keys, message = (*keys, *match[1].split(".")), message[match.end() :]
    shown = ".".join(str(key) for key in keys) or "the file"
    where = f"{path}:{_line(lines, keys)}: {shown}"
    # If the check says what to write, the key's own example would confuse.
    block, example = _block_at(keys[:-1]), "" if match and fault["type"] == "value_error" else _example(keys)
    if fault["type"] == "extra_forbidden":
        known = list(block.model_fields) if block else []
        near = difflib.get_close_matches(str(keys[-1]), known, n=1)
        return f"{where}: unknown key; " + (
            f"did you mean {near[0]}?" if near else f"known keys are {', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"{where}: is missing; " + (f"write, for example, `{keys[-1]}: {example}`" if example else "add it")
    message = message if fault["type"] == "value_error" else f"this {message}"
    return f"{where}: {message}" + (f"; write, for example, `{example}`" if example else "")


def _block_at(keys: _Keys) -> type[BaseModel] | None:
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


def _example(keys: _Keys) -> str:
    block = _block_at(keys[:-1]) if keys else None
    field = block.model_fields.get(str(keys[-1])) if block else None
    if field is None:
        return ""
    examples = field.examples or ([field.default] if isinstance(field.default, str | int | float) else [])
    return yaml.safe_dump(examples[0], default_flow_style=True).removesuffix("\n...\n").strip() if examples else ""
