"""What all tests share: the option that makes the generated tests long. ``pytest --long``, or ``make fuzz``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="generate many times as many requests and bodies; takes an hour"
    )


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the tests that generate their input may take long."""
    return bool(request.config.getoption("--long"))
