"""The contract suite's own record: what it saw stands in ``docs/local-cloud.md``, and the last test compares.

``pytest localcloud/tests --write-surface`` (``make docs``) writes it. A run of a part of the suite has seen a part, so there the
test is left out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_LOCAL = ("snowflake", "aws")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-surface", action="store_true", help="write the tables of docs/local-cloud.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collected = {item.path for item in items}
    wanted = {path for folder in _LOCAL for path in (_HERE / folder).glob("test_*.py")}
    whole = wanted <= collected and not (config.option.keyword or config.option.markexpr)
    last = [item for item in items if item.path == _HERE / "test_surface.py"]
    if not whole and last:
        config.hook.pytest_deselected(items=last)
    items[:] = [item for item in items if item not in last] + (last if whole else [])
