"""Golden files: what is sent to a vendor, as it was last looked at. ``pytest tests/golden --update-golden`` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; look at the difference")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Hold a text against the golden file of that name."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / name
        # Where the tests of other folders are run too, this folder's option is not known.
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {name}; run `pytest tests/golden --update-golden` and look at it"
        assert path.read_text(encoding="utf-8") == text, (
            "run `pytest tests/golden --update-golden` and look at the difference"
        )

    return compare
