"""The routes of predictions: one table that load shedding, dispatch and the OpenAPI document read.

``PredictionRoute`` is bare ASGI: the framework's request and response objects cost as much as scoring a row. The application
dispatches these paths itself (``match``) and passes all others to FastAPI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from app.serve.codecs import NAMED, SNOWFLAKE
from app.serve.codecs.codec import Codec
from app.serve.codecs.open_inference import open_inference


@dataclass(frozen=True, slots=True)
class PredictionRoute:
    """``path``: with its parameters in braces. ``codec``: returns a request's codec for the path's parameters. ``polled``: whether
    GET fetches a deferred batch."""

    path: str
    codec: Callable[[Mapping[str, str]], Codec]
    polled: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of the path."""
        return ("POST", "GET", "HEAD") if self.polled else ("POST",)


PREDICTION_ROUTES = (
    PredictionRoute("/predict/{model}", lambda _: SNOWFLAKE, polled=True),
    PredictionRoute("/models/{model}/predict", lambda _: NAMED),
    PredictionRoute("/v2/models/{model}/infer", lambda _: open_inference()),
    PredictionRoute(
        "/v2/models/{model}/versions/{version}/infer", lambda parameters: open_inference(parameters["version"])
    ),
)
_PATTERNS = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)), route) for route in PREDICTION_ROUTES]


def match(path: str) -> tuple[PredictionRoute, dict[str, str]] | None:
    """The prediction route of a path, with the path's parameters."""
    for pattern, route in _PATTERNS:
        if found := pattern.fullmatch(path):
            return route, found.groupdict()
    return None


def add_get(app: FastAPI, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
    """Answer GET with ``endpoint``, and HEAD without the body, which the server leaves out, as RFC 9110 requires."""
    app.add_api_route(path, endpoint, methods=["GET"], **options)
    app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False, **options)


def allowed_methods(scope: Scope, routes: Iterable[BaseRoute]) -> str:
    """All methods of the request's path, for ``Allow``. The framework would list only those of the first route that matches."""
    matching = (route for route in routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in matching for method in route.methods or ()}))
