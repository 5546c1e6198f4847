"""Which methods a path has: HEAD wherever there is GET, as RFC 9110 wants it, and 405 with all that are allowed for the rest.

OPTIONS is among the rest. Nothing more could be told than ``Allow``, which a 405 tells as well, and to browsers, which ask by it
whether another origin may call, both mean no.

The one surprise: the framework itself would name the methods of the first route that fits, and not those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope


def add_get(app: FastAPI, path: str, answer: Callable[..., Any], responses: Any) -> None:
    """Have ``answer`` answer GET and, without the body, which the server leaves out, HEAD."""
    app.add_api_route(path, answer, methods=["GET"], responses=responses)
    app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)


def allowed(scope: Scope, routes: Iterable[BaseRoute]) -> str:
    """The methods of the request's path, as ``Allow`` lists them."""
    fitting = (route for route in routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in fitting for method in route.methods or ()}))
