"""Control of fault rules from another process: a private route of the local AWS, and its client.

The route is JSON over loopback. A request without the token from the state folder is passed on as if the route did not exist.
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

PATH = "/_localcloud/faults"
_FILE = "control.json"
HEADER = "X-Localcloud-Control"
_TIMEOUT_S = 10.0

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class FaultControl:
    """A WSGI application around ``inner`` that answers :data:`PATH` for requests with ``token``."""

    def __init__(self, inner: WsgiApp, plan: FaultPlan, token: str) -> None:
        self._inner = inner
        self._plan = plan
        self._token = token

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or not hmac.compare_digest(
            environ.get("HTTP_X_LOCALCLOUD_CONTROL", "").encode(), self._token.encode()
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
    """The file in the state folder with the route's address and token. Only its owner may read it."""
    return state / _FILE


def control_text(endpoint_url: str, token: str) -> str:
    """The content of :func:`control_file`."""
    return json.dumps({"url": endpoint_url + PATH, "token": token})


class RemotePlan:
    """The fault plan of a local cloud in another process.

    Raises :class:`CallerError` if none is running. ``up_command``: the command that starts one, for that message.
    """

    def __init__(self, state: Path, up_command: str = "localcloud up") -> None:
        self._up_command = up_command
        path = control_file(state)
        if not path.is_file():
            raise CallerError(f"no local cloud is running in {state}; start one with `{up_command}`")
        found = json.loads(path.read_text())
        self._url: str = found["url"]
        self._token: str = found["token"]

    def add(self, fault: Fault) -> int:
        """Add a rule; returns its number."""
        return int(self._call("POST", json.dumps(fault.as_json()).encode())["rule"])

    def clear(self, number: int | None = None) -> int:
        """Remove one rule, or all; returns how many were removed."""
        return int(self._call("DELETE", query="" if number is None else f"?rule={number}")["removed"])

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The rules and the requests that they hit."""
        return self._call("GET")

    def _call(self, method: str, body: bytes | None = None, query: str = "") -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (the address is in the state folder, http only)
            self._url + query, data=body, headers={HEADER: self._token}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                text = json.load(error)["message"] if error.code == 400 else f"HTTP status {error.code}"
            raise CallerError(f"the local cloud rejected the request: {text}") from error
        except OSError as error:
            raise CallerError(
                f"the local cloud does not respond ({error}); is `{self._up_command}` running?"
            ) from error
