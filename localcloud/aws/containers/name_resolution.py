"""Name resolution inside a job's Python process: the names of its hosts (``algo-1``, ...) resolve, as they do on AWS.

The file is copied next to the job's ``sitecustomize``, with ``name_resolution.json`` (name to address). Only calls through Python's
``socket`` know these names; a library that calls the system's resolver does not.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any


def install(addresses: dict[str, str]) -> None:
    """Resolve ``addresses`` before the system's resolver is called."""

    def host(name: Any) -> Any:
        return addresses.get(name, name) if isinstance(name, str) else name

    def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda name, *args, **kwargs: function(host(name), *args, **kwargs)

    def by_address(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, address: Any) -> Any:
            known = isinstance(address, tuple) and address
            return method(self, (host(address[0]), *address[1:]) if known else address)

        return call

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, by_name(getattr(socket, name)))
    for name in ("bind", "connect", "connect_ex"):
        setattr(socket.socket, name, by_address(getattr(socket.socket, name)))


def install_from_file() -> None:
    """Install the names in ``name_resolution.json``."""
    install(json.loads(Path(__file__).with_suffix(".json").read_text()))
