"""One port for several workers: held by the supervisor from start to end, listened on by each worker for itself.

With one listening socket for all, the worker that wakes first takes what has come, and with few connections that is again and
again the same one. On Linux each has a socket of its own (SO_REUSEPORT), and the kernel deals connections out by their addresses;
elsewhere that option deals out nothing, so there they share one socket.

The one surprise: the supervisor's own socket is bound and never listens. It keeps the port while workers are replaced, and shuts
out other programs, another snowsage of the same user too, with whom the kernel would share the port without a word.
"""

from __future__ import annotations

import socket
import sys
from types import TracebackType

from app.serve.process import listener

DEALS_OUT = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


class Port:
    """The supervisor's hold on the port. ``listener``: the socket that workers inherit, None where each opens its own."""

    def __init__(self, host: str, port: int, deals_out: bool = DEALS_OUT) -> None:
        """Raises CallerError where the address cannot be listened on, or another program does."""
        alone = listener.listen(host, port)
        self.url, self.number = listener.url_of(alone), int(alone.getsockname()[1])
        self.listener = None if deals_out else alone
        self._held = _reserve(alone) if deals_out else alone

    def __enter__(self) -> Port:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()


def join(host: str, port: int) -> socket.socket:
    """A worker's own socket at the port that its supervisor holds, bound; it gets connections once it listens."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return _bound(family, (host, port))


def _reserve(alone: socket.socket) -> socket.socket:
    # One takes over from the other without a gap, so that of two programs that start at the same time one is refused.
    alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with alone:
        held = _bound(alone.family, alone.getsockname())
    # Set until here, for the last connections of a service that ended a moment ago; not set, it refuses whoever does not share.
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
