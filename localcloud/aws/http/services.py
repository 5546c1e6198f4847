"""AWS services as the router sees them: which requests are theirs, and which handler answers each operation.

A service declares its operations in one value, such as :class:`JsonService`. A new operation is one handler in that value. What a
service does not implement goes to ``fallback``, which is moto.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl

from localcloud.aws.http import protocol
from localcloud.aws.http.protocol import AwsError, DelegateToMoto, Environ, Handler, Params, StartResponse, WsgiApp

QueryHandler: TypeAlias = Callable[[dict[str, str]], str]
PathHandler: TypeAlias = Callable[[str, Environ, StartResponse], Iterable[bytes]]


class Service(Protocol):
    """Answers the requests that it accepts. ``name``: the service of a request's credential scope."""

    @property
    def name(self) -> str: ...

    def accepts(self, environ: Environ) -> bool:
        """Whether a request signed for ``name`` belongs to this service."""

    def respond(self, environ: Environ, start_response: StartResponse, fallback: WsgiApp) -> Iterable[bytes]:
        """Answer the request, by a handler or by ``fallback``."""


@dataclass(frozen=True)
class JsonService:
    """JSON 1.1: the operation is in the header ``X-Amz-Target`` as ``<target>.<operation>``.

    ``validate`` checks an operation's parameters before its handler is called. ``check_fallback`` is called for an operation
    without a handler. Both raise :class:`AwsError` to reject the request.
    """

    name: str
    target: str
    operations: Mapping[str, Handler]
    validate: Callable[[str, Params], None]
    check_fallback: Callable[[str], None]

    def accepts(self, environ: Environ) -> bool:
        return str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith(f"{self.target}.")

    def respond(self, environ: Environ, start_response: StartResponse, fallback: WsgiApp) -> Iterable[bytes]:
        operation = environ["HTTP_X_AMZ_TARGET"].removeprefix(f"{self.target}.")
        body = _body(environ)
        try:
            handler = self.operations.get(operation)
            if handler is None:
                self.check_fallback(operation)
                return fallback(environ, start_response)
            params = json.loads(body or b"{}")
            self.validate(operation, params)
            return protocol.respond_json(start_response, handler(params))
        except DelegateToMoto:
            return fallback(environ, start_response)
        except json.JSONDecodeError:
            error = AwsError("SerializationException", "The request's body is not JSON.")
            return protocol.respond_error(start_response, error)
        except AwsError as error:
            return protocol.respond_error(start_response, error)


@dataclass(frozen=True)
class QueryService:
    """The query protocol: the operation is the form field ``Action``. Handlers return the XML of the result's members."""

    name: str
    operations: Mapping[str, QueryHandler]

    def accepts(self, environ: Environ) -> bool:  # noqa: ARG002 (every request signed for the service)
        return True

    def respond(self, environ: Environ, start_response: StartResponse, fallback: WsgiApp) -> Iterable[bytes]:
        form = dict(parse_qsl(_body(environ).decode("utf-8", "replace"), keep_blank_values=True))
        action = form.get("Action", "")
        handler = self.operations.get(action)
        try:
            if handler is None:
                return fallback(environ, start_response)
            return protocol.respond_query(start_response, action, handler(form))
        except DelegateToMoto:
            return fallback(environ, start_response)
        except AwsError as error:
            return protocol.respond_query_error(start_response, error)


@dataclass(frozen=True)
class PathService:
    """REST-JSON below ``/<collection>/<resource>/<operation>``. ``operations``: by the path's last part."""

    name: str
    collection: str
    operations: Mapping[str, PathHandler]

    def accepts(self, environ: Environ) -> bool:
        return self._match(environ) is not None

    def respond(
        self,
        environ: Environ,
        start_response: StartResponse,
        fallback: WsgiApp,  # noqa: ARG002 (moto implements none of these operations)
    ) -> Iterable[bytes]:
        match = self._match(environ)
        assert match is not None
        try:
            handler = self.operations.get(match["operation"])
            if handler is None:
                raise AwsError("ValidationError", f"The local AWS does not support {match['operation']}.")
            return handler(match["resource"], environ, start_response)
        except AwsError as error:
            return protocol.respond_error(start_response, error, rest=True)

    def _match(self, environ: Environ) -> re.Match[str] | None:
        return re.fullmatch(rf"/{self.collection}/(?P<resource>[^/]+)/(?P<operation>[a-z-]+)", environ["PATH_INFO"])


def _body(environ: Environ) -> bytes:
    """The request's body, which stays readable for the fallback."""
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body
