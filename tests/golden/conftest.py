"""Golden files: the requests to vendors, as reviewed. ``pytest tests/golden --update-golden`` writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; look at the difference")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the golden file of that name."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / name
        # When the tests of other folders run too, this folder's option is not registered.
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {name}; run `pytest tests/golden --update-golden` and look at it"
        assert path.read_text(encoding="utf-8") == text, (
            "run `pytest tests/golden --update-golden` and look at the difference"
        )

    return compare
