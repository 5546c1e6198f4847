"""Compares the statements and calls of this suite with the tables in ``docs/local-cloud.md`` at the end of the run.

``pytest localcloud/tests -m "not slow" --write-surface`` (``make docs``) writes the tables. They hold the
results of all tests in this folder that are not marked slow, so a run of fewer tests compares nothing. With pytest-xdist each
worker keeps a record, and the controlling process compares the merged records.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from localcloud.tests.surface import DOCUMENT, SEEN, documented

_HERE = Path(__file__).parent
_RECORDED = ("snowflake", "aws")
#: Whether the run has all tests whose record the tables are, and the lines in which the tables differ.
_COMPLETE = pytest.StashKey[bool]()
_CHANGES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-surface", action="store_true", help="write the tables of docs/local-cloud.md")


@pytest.hookimpl(tryfirst=True)  # before -m deselects modules whose tests are all slow
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {path for folder in _RECORDED for path in (_HERE / folder).glob("test_*.py")}
    complete = not config.option.keyword and config.option.markexpr in ("", "not slow")
    config.stash[_COMPLETE] = complete and wanted <= {item.path for item in items}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    SEEN.recording = item.get_closest_marker("slow") is None
    try:
        return (yield)
    finally:
        SEEN.recording = False


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Merge the record of a worker that has ended; called in the controlling process."""
    output = getattr(node, "workeroutput", {})
    if "surface" in output:
        SEEN.add(output["surface"])
        node.config.stash[_COMPLETE] = output["surface_complete"]


@pytest.hookimpl(tryfirst=True)  # before the terminal's summary
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput |= {"surface": SEEN.record(), "surface_complete": config.stash.get(_COMPLETE, False)}
        return
    if session.testsfailed or not config.stash.get(_COMPLETE, False):
        return
    current = documented(text := DOCUMENT.read_text(), SEEN.tables())
    if config.option.write_surface:
        DOCUMENT.write_text(current)
    elif text != current:
        config.stash[_CHANGES] = list(
            unified_diff(text.splitlines(), current.splitlines(), "document", "tests", n=0, lineterm="")
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if changes := terminalreporter.config.stash.get(_CHANGES, []):
        terminalreporter.section(f"{DOCUMENT.name} differs from what the tests saw; run `make docs`", red=True)
        for line in changes:
            terminalreporter.write_line(line)
