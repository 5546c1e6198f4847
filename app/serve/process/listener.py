"""The listening socket of the service, or an error that says why it cannot be opened."""

from __future__ import annotations

import errno
import socket

from app.errors import CallerError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CallerError if the address is in use or cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CallerError(_explain(error, host, port)) from error


def url_of(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what uses it, or set SNOWSAGE_SERVE_PORT to another port"
    return f"cannot listen on {host}, port {port} ({error.strerror}); set SNOWSAGE_SERVE_HOST and SNOWSAGE_SERVE_PORT"
