"""The module ``snowflake.telemetry`` of handlers, for servers that do not have Snowflake's own.

It accepts what the package ``snowflake-telemetry-python`` documents, and records nothing, as Snowflake does while TRACE_LEVEL is
OFF, its default.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_NAME = "snowflake.telemetry"


def provide() -> None:
    """Make the module importable unless Snowflake's own is installed."""
    import snowflake

    if importlib.util.find_spec(_NAME) is not None:
        return
    module = ModuleType(_NAME, "Telemetry of a handler.")
    module.add_event = _add_event  # type: ignore[attr-defined]
    module.set_span_attribute = _set_span_attribute  # type: ignore[attr-defined]
    sys.modules[_NAME] = snowflake.telemetry = module


def _add_event(name: str, attributes: Mapping[str, Any] | None = None) -> None:
    """Add an event to the current span."""


def _set_span_attribute(key: str, value: Any) -> None:
    """Set an attribute of the current span."""
