"""What the product's tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether tests that generate their input without Hypothesis may take an hour: in ``make fuzz``."""
    return settings.get_current_profile_name() == "fuzz"
