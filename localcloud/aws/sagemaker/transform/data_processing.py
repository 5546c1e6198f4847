"""DataProcessing of a transform job: filters on the model's input and output, and the join of input and output.

Filters are JSONPaths with the documented operators, on CSV, JSON Lines or JSON records. A CSV row is an array: ``$[1:]`` selects
columns, and a join appends the model's columns to the input's.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from localcloud.aws.http.protocol import ValidationException, unsupported

Step: TypeAlias = Callable[[Any], Any]

CSV = "text/csv"
JSON_LINES = "application/jsonlines"
JSON = "application/json"

_STEP = re.compile(
    r"\.?\[(?P<inside>[^\]]*)\]"  # brackets, also in the documented form `.['a','b']`
    r"|\.(?P<name>[A-Za-z_][\w-]*)"
)
_NUMBER = re.compile(r"\s*-?\d+\s*")
_SLICE = re.compile(r"\s*(?P<start>-?\d*)\s*:\s*(?P<end>-?\d*)\s*")
_NAME = re.compile(r"""\s*(?:'([^',.]+)'|"([^",.]+)")\s*""")


class FilterFailure(Exception):
    """A record lacks an element that the filter selects, or cannot be parsed."""


def json_path(text: str) -> Step:
    """A JSONPath as a function; ``ValidationException`` if it is not valid or not supported."""
    if not text.startswith("$"):
        raise ValidationException(f"{text} is not a valid JSONPath: it must begin with $.")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise unsupported(f"the JSONPath {text}; use $, .name, ['name',...], [n,...] and [start:end]")
        steps.append(_child(match["name"]) if match["name"] else _bracket(match["inside"], text))
        position = match.end()

    def walk(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return walk


def _child(name: str) -> Step:
    def take(value: Any) -> Any:
        if not isinstance(value, dict) or name not in value:
            raise FilterFailure(f"there is no element {name}")
        return value[name]

    return take


def _bracket(inside: str, text: str) -> Step:
    parts = inside.split(",")
    names = [match[1] or match[2] for part in parts if (match := _NAME.fullmatch(part))]
    if len(names) == len(parts):
        return _child(names[0]) if len(names) == 1 else _children(names)
    if all(_NUMBER.fullmatch(part) or _is_slice(part) for part in parts):
        return _single(int(inside)) if _NUMBER.fullmatch(inside) else _selection(parts)
    raise unsupported(f"[{inside}] in the JSONPath {text}; use names in quotes, numbers and slices")


def _is_slice(part: str) -> bool:
    return _SLICE.fullmatch(part) is not None


def _children(names: list[str]) -> Step:
    return lambda value: {name: _child(name)(value) for name in names}


def _single(index: int) -> Step:
    return lambda value: _at(value, index)


def _selection(parts: list[str]) -> Step:
    def take(value: Any) -> Any:
        found: list[Any] = []
        for part in parts:
            match = _SLICE.fullmatch(part)
            if match is None:
                found.append(_at(value, int(part)))
            else:
                _at(value, int(match["start"] or 0))
                found += value[slice(*(int(edge) if edge else None for edge in match.groups()))]
        return found

    return take


def _at(value: Any, index: int) -> Any:
    if not isinstance(value, list) or not -len(value) <= index < len(value):
        raise FilterFailure(f"the index {index} is not within the dimension size of the record")
    return value[index]


class DataProcessing:
    """The DataProcessing of one job. ``content_type``: the input's. ``accept``: the output's, by default the input's."""

    def __init__(self, settings: dict[str, str], content_type: str, accept: str) -> None:
        self._input = json_path(settings.get("InputFilter", "$"))
        self._output = json_path(settings.get("OutputFilter", "$"))
        self._filters_input = settings.get("InputFilter", "$") != "$"
        self._joins = settings.get("JoinSource", "None") == "Input"
        self._changes_output = self._joins or settings.get("OutputFilter", "$") != "$"
        self.active = self._filters_input or self._changes_output
        self._kind = _plain(content_type)
        answered = _plain(accept) or self._kind
        if not self.active:
            return
        if self._kind not in (CSV, JSON_LINES, JSON):
            raise ValidationException("DataProcessing works on text/csv, application/jsonlines and application/json.")
        if answered != self._kind and self._changes_output:
            raise unsupported(f"DataProcessing from {self._kind} to {answered}; use one content type for both")

    def request_body(self, records: list[bytes]) -> bytes:
        """The request body for a batch of records."""
        if not self._filters_input:
            return b"".join(records)
        return b"".join(self._write(self._input(self._read(record))) for record in records)

    def output(self, records: list[bytes], answer: bytes) -> bytes:
        """The output for a batch of records with the model's response."""
        if not self._changes_output:
            return answer
        lines = [answer] if self._kind == JSON else [line for line in answer.splitlines() if line.strip()]
        if self._joins and len(lines) != len(records):
            raise FilterFailure("Fail to join data: mismatched line count between the input and the output")
        if not self._joins:
            return b"".join(self._write(self._output(self._read(line))) for line in lines)
        return b"".join(
            self._write(self._output(self._joined(self._read(record), self._read(line))))
            for record, line in zip(records, lines, strict=True)
        )

    def _joined(self, record: Any, result: Any) -> Any:
        if self._kind == CSV:
            return [*record, *result]
        if isinstance(record, dict):
            return {**record, "SageMakerOutput": result}
        return {"SageMakerInput": record, "SageMakerOutput": result}

    def _read(self, record: bytes) -> Any:
        try:
            text = record.decode()
            if self._kind == CSV:
                return next(csv.reader(io.StringIO(text.rstrip("\r\n"), newline="")), [])
            return json.loads(text)
        except (ValueError, csv.Error) as error:
            raise FilterFailure(f"Failed to parse a record as {self._kind}: {error}") from error

    def _write(self, value: Any) -> bytes:
        if self._kind != CSV:
            return json.dumps(value, separators=(",", ":")).encode() + (b"\n" if self._kind == JSON_LINES else b"")
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerow(value if isinstance(value, list) else [value])
        return out.getvalue().encode()


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
