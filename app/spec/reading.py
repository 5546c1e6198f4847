"""Reads a folder with a ``pipeline.yaml`` into a validated pipeline, or reports errors with file, line, key and remedy.

Some keys belong to stages that do not exist yet. They are validated like the rest. A key that would change what an existing
stage does is refused; a key that only adds something is accepted, and ``PipelineFile.not_yet`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.errors import CallerError
from app.spec.explanation import Keys, Places, explain
from app.spec.schema import Pipeline

FILE_NAME = "pipeline.yaml"

#: How YAML tags the keys of a mapping that are texts, and the key that merges another mapping.
_TEXT_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


@dataclass(frozen=True)
class PipelineFile:
    """A pipeline and its folder. ``not_yet``: sentences about keys whose stage does not exist yet."""

    pipeline: Pipeline
    folder: Path
    not_yet: tuple[str, ...] = ()
    places: Places | None = None

    def at(self, *keys: str | int) -> str:
        """``file:line: a.b.c``, for an error about that key."""
        return self.places.at(keys) if self.places else ".".join(map(str, keys))


def load(folder: Path) -> PipelineFile:
    """Read ``folder/pipeline.yaml``. Raises CallerError with one line for each fault: file, line, key, what to write."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise CallerError(f"{folder} has no {FILE_NAME}; a pipeline is a folder with that file, such as examples/churn")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CallerError(f"{path}: this is not UTF-8 text: byte {error.start} is no character") from None
    places, body = _parse(path, text)
    try:
        pipeline = Pipeline.model_validate(body)
    except ValidationError as error:
        raise CallerError("\n".join(explain(places, error.errors()))) from None
    # Most keys may be left out, so nothing after the colon would silently mean that they were.
    if empty := sorted((places.line(keys), places.at(keys)) for keys, written in places.plain.items() if not written):
        raise CallerError("\n".join(f"{place}: has no value; write it, or leave the key out" for _, place in empty))
    refused, accepted = _not_yet(pipeline)
    if refused:
        raise CallerError("\n".join(f"{places.at(keys)}: {text}" for keys, text in refused))
    for keys, definition in _definitions(pipeline):
        file = definition.partition(":")[0]
        if not (folder / file).is_file():
            raise CallerError(f"{places.at(keys)}: {file} is not a file in {folder}")
        if not (folder / file).parent.resolve().is_relative_to(folder.resolve()):
            raise CallerError(
                f"{places.at(keys)}: {file} leads out of {folder} by a link; put the file itself there, because a run is "
                "identified by the files of its folder"
            )
    return PipelineFile(pipeline, folder, tuple(f"{'.'.join(keys)}: {text}" for keys, text in accepted), places)


def _definitions(pipeline: Pipeline) -> Iterator[tuple[Keys, str]]:
    for index, view in enumerate(pipeline.features):
        yield ("features", index, "define"), view.define
    if pipeline.label.define is not None:
        yield ("label", "define"), pipeline.label.define


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


def _parse(path: Path, text: str) -> tuple[Places, Any]:
    """(where each key is, the plain value). A duplicate key is an error: YAML would silently keep the last."""
    lines: dict[Keys, int] = {(): 1}
    plain: dict[Keys, str] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            for keys, line, written in _locate(path, node, ()):
                lines[keys] = line
                if written is not None:
                    plain[keys] = written
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
    return Places(path, lines, plain), body


def _locate(path: Path, node: yaml.Node, at: Keys) -> Iterator[tuple[Keys, int, str | None]]:
    """(keys, line, the text of a value without quotes) of ``node`` and all below it."""
    yield (
        at,
        node.start_mark.line + 1,
        str(node.value) if isinstance(node, yaml.ScalarNode) and not node.style else None,
    )
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if key.tag not in _TEXT_KEYS:
                raise CallerError(
                    f"{path}:{line}: {'.'.join(map(str, (*at, name)))}: YAML does not read the key {name} as a text; write it in "
                    f"quotes: '{name}'"
                )
            if name in seen:
                raise CallerError(f"{path}:{line}: {'.'.join(map(str, (*at, name)))} occurs twice")
            seen.add(name)
            yield from _locate(path, value, (*at, name))
            yield (*at, name), line, None
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _locate(path, value, (*at, index))
