"""The result of the deploy stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deployment:
    """The result of the deploy stage. ``endpoint``: empty if the service itself scores. ``left``: why nothing was deployed, if so;
    ``version`` is then the live one.
    """

    model: str
    version: str
    endpoint: str
    functions: tuple[str, ...]
    left: str = ""
