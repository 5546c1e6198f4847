"""The kinds of fault: each error's class names one, with its status, and the documentation lists them all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import app.serve
from app.errors import SnowsageError
from app.serve.http.problem_types import TYPES, table

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"


def raised_by_the_service() -> Iterator[type[SnowsageError]]:
    """The errors that everything may raise, and those that the service has of its own."""
    for module in pkgutil.walk_packages(app.serve.__path__, "app.serve."):
        importlib.import_module(module.name)
    pending = [SnowsageError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith(("app.serve", "app.errors")):
            yield kind


def test_each_errors_class_names_a_kind_with_its_status() -> None:
    found = set(raised_by_the_service())
    assert len(found) > 12
    assert {kind: TYPES[kind.problem].status for kind in found} == {kind: kind.http_status for kind in found}


def test_each_kind_is_told_by_something() -> None:
    by_the_framework = {"unknown-path", "method-not-allowed"}
    assert {kind.problem for kind in raised_by_the_service()} | by_the_framework == set(TYPES)


def test_the_documentation_holds_the_table() -> None:
    assert table() in DOCUMENT.read_text()


def test_a_kinds_texts_are_whole_sentences() -> None:
    for kind in TYPES.values():
        assert kind.uri == f"/problems/{kind.name}"
        assert kind.text.count(kind.title) == 1
        assert all(text.endswith(".") and "|" not in text for text in (kind.meaning, kind.remedy))
