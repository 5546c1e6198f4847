"""The result of the deploy stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deployment:
    """What the deploy stage hands down. ``endpoint``: empty where the service scores by itself."""

    model: str
    version: str
    endpoint: str
    functions: tuple[str, ...]
