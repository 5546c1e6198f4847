"""Log lines as JSON and as text; any value can be logged."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from app import log

_logger = logging.getLogger("app.tests")


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The log output after ``configure`` with the test's format."""
    root, ours = logging.getLogger(), logging.getLogger("app")
    before = root.handlers[:], root.level, ours.level
    switches = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    try:
        log.configure("info", request.param)
        written = io.StringIO()
        root.handlers[0].setStream(written)  # type: ignore[attr-defined]
        yield written
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        logging.logThreads, logging.logProcesses, logging.logMultiprocessing = switches


@pytest.mark.parametrize("lines", ["json"], indirect=True)
def test_every_value_is_logged_as_one_valid_json_line(lines: io.StringIO) -> None:
    log.event(_logger, logging.INFO, "batch", rows=3, user="Änna", error=ValueError("no"), share=float("nan"))
    log.event(_logger, logging.WARNING, "odd", half="\ud800", big=10**30)
    log.event(_logger, logging.DEBUG, "never")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        _logger.exception("told")
    first, second, third = (json.loads(line) for line in lines.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "info",
        "logger": "app.tests",
        "message": "batch",
        "rows": 3,
        "user": "Änna",
        "error": "no",
        "share": None,
    }
    assert (second["half"], second["big"], second["level"]) == ("\ud800", 10**30, "warning")
    assert "RuntimeError: broken" in third["trace"]


@pytest.mark.parametrize("lines", ["text"], indirect=True)
def test_text_lines_are_readable(lines: io.StringIO) -> None:
    log.event(_logger, logging.INFO, "listening", address="http://127.0.0.1:8080")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d info    app\.tests: listening address=http://127\.0\.0\.1:8080\n", lines.getvalue()
    )


@pytest.mark.parametrize("lines", ["text"], indirect=True)
def test_each_line_contains_the_process_name(lines: io.StringIO) -> None:
    log.always(worker=3)
    log.event(_logger, logging.INFO, "scored", rows=2)
    _logger.warning("plain")
    assert [line.partition(" app.tests: ")[2] for line in lines.getvalue().splitlines()] == [
        "scored rows=2 worker=3",
        "plain worker=3",
    ]
