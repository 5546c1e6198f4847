"""Faults set from another process: a private route on the local AWS, and the client that `snowsage local faults` uses.

In: JSON over loopback with the token of the state folder. Out: rules and what fired. The surprise: without the token the route
answers as if it were not there.
"""

from __future__ import annotations

import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from localcloud.errors import CallerError
from localcloud.faults.rules import Fault, FaultPlan, fault_from

PATH = "/_snowsage/faults"
_FILE = "control.json"
_HEADER = "X-Snowsage-Control"
_TIMEOUT_S = 10.0

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Control:
    """A WSGI application around ``inner`` that answers :data:`PATH` to whoever has ``token``."""

    def __init__(self, inner: WsgiApp, plan: FaultPlan, token: str) -> None:
        self._inner = inner
        self._plan = plan
        self._token = token

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or not hmac.compare_digest(
            environ.get("HTTP_X_SNOWSAGE_CONTROL", "").encode(), self._token.encode()
        ):
            return self._inner(environ, start_response)
        try:
            status, answer = "200 OK", self._answer(environ)
        except CallerError as error:
            status, answer = "400 Bad Request", {"message": str(error)}
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: Environ) -> dict[str, Any]:
        if environ["REQUEST_METHOD"] == "POST":
            return {"rule": self._plan.add(fault_from(json.loads(environ["wsgi.input"].read())))}
        if environ["REQUEST_METHOD"] == "DELETE":
            number = environ.get("QUERY_STRING", "").removeprefix("rule=")
            return {"removed": self._plan.clear(int(number) if number else None)}
        return dict(self._plan.describe())


def control_file(state: Path) -> Path:
    """Where ``local up`` leaves the route's address and token, for its owner alone."""
    return state / _FILE


def control_text(endpoint_url: str, token: str) -> str:
    """What goes into :func:`control_file`."""
    return json.dumps({"url": endpoint_url + PATH, "token": token})


class RemotePlan:
    """The plan of a local cloud in another process; :class:`CallerError` where none runs."""

    def __init__(self, state: Path) -> None:
        path = control_file(state)
        if not path.is_file():
            raise CallerError(f"no local cloud is running in {state}; start one with `snowsage local up`")
        found = json.loads(path.read_text())
        self._url: str = found["url"]
        self._token: str = found["token"]

    def add(self, fault: Fault) -> int:
        """The new rule's number."""
        return int(self._call("POST", json.dumps(fault.as_json()).encode())["rule"])

    def clear(self, number: int | None = None) -> int:
        """How many rules were removed."""
        return int(self._call("DELETE", query="" if number is None else f"?rule={number}")["removed"])

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Rules and what fired."""
        return self._call("GET")

    def _call(self, method: str, body: bytes | None = None, query: str = "") -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (an http address that `local up` wrote)
            self._url + query, data=body, headers={_HEADER: self._token}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                text = json.load(error)["message"] if error.code == 400 else f"it answered {error.code}"
            raise CallerError(f"the local cloud refused: {text}") from error
        except OSError as error:
            raise CallerError(f"the local cloud does not answer ({error}); is `snowsage local up` running?") from error
