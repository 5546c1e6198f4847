"""Routing: the service that a request is signed for answers it; requests for every other service go to moto."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from localcloud.aws.http.operations import signed_service
from localcloud.aws.http.protocol import Environ, StartResponse, WsgiApp
from localcloud.aws.http.services import Service


class Router:
    """A WSGI application over ``services``, tried in order, and ``fallback``."""

    def __init__(self, services: Sequence[Service], fallback: WsgiApp) -> None:
        self._services = services
        self._fallback = fallback

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        signed = signed_service(environ)
        for service in self._services:
            if service.name == signed and service.accepts(environ):
                return service.respond(environ, start_response, self._fallback)
        return self._fallback(environ, start_response)
