"""One port for several workers: the supervisor holds it from start to end, each worker listens on it.

With one listening socket for all, the worker that wakes first takes the new connections, and with few connections that is often the
same one. On Linux each worker has a socket of its own (SO_REUSEPORT), and the kernel distributes connections by their addresses;
elsewhere that option does not distribute, so the workers share one socket.

The supervisor's own socket is bound but never listens. It keeps the port while workers are replaced, and keeps out other programs,
including another snowsage of the same user, with which the kernel would silently share the port.
"""

from __future__ import annotations

import socket
import sys
from types import TracebackType

from app.serve.process import listener

DISTRIBUTES = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


class SharedPort:
    """The supervisor's hold on the port. ``listener``: the socket that workers inherit, None if each opens its own."""

    def __init__(self, host: str, port: int, distributes: bool = DISTRIBUTES) -> None:
        """Raises CallerError if the address is in use or cannot be used."""
        exclusive = listener.listen(host, port)
        self.url, self.number = listener.url_of(exclusive), int(exclusive.getsockname()[1])
        self.listener = None if distributes else exclusive
        self._held = _reserve(exclusive) if distributes else exclusive

    def __enter__(self) -> SharedPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()


def join(host: str, port: int) -> socket.socket:
    """A worker's own bound socket at the port that its supervisor holds; it gets connections once it listens."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return _bound(family, (host, port))


def _reserve(exclusive: socket.socket) -> socket.socket:
    # The reserving socket is bound before the exclusive one is closed, so that of two programs that start at once one fails.
    exclusive.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with exclusive:
        held = _bound(exclusive.family, exclusive.getsockname())
    # Needed to bind while connections of a service that has just ended remain. Cleared, so that programs that do not share the
    # port cannot bind.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held


def _bound(family: socket.AddressFamily | int, where: tuple[str | int, ...]) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(where)
    except OSError:
        found.close()
        raise
    return found
