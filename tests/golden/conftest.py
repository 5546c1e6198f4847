"""Golden files: the reviewed text of requests to vendors. ``pytest tests/golden --update-golden`` writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files; review the difference")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the golden file of that name."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / name
        # The option exists only if pytest was started with this folder as its argument.
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {name}; run `pytest tests/golden --update-golden` and review it"
        assert path.read_text(encoding="utf-8") == text, (
            "run `pytest tests/golden --update-golden` and review the difference"
        )

    return compare
