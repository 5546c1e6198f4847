"""The local AWS's HTTP server: werkzeug's threaded server with keep-alive connections.

Werkzeug itself closes every connection after one response, so that boto3 would open a connection for each call. This server reads
a request's body whole before it calls the application, which leaves the connection ready for the next request. ``stop`` shuts
open connections down, because the thread of an idle connection would wait forever.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from localcloud.aws.http.protocol import ConnectionDropped, Environ, WsgiApp
from localcloud.errors import CallerError

_log = logging.getLogger(__name__)

_JOIN_S = 5.0
_NO_BODY = {204, 304}


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto has no type information
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle_expect_100(self) -> bool:
        answered: bool = super().handle_expect_100()
        self.wfile.flush()  # the client waits for this line before it sends the body
        return answered

    def run_wsgi(self) -> None:
        # werkzeug's logging reads `self.environ`.
        self.environ: Environ = self.make_environ()
        environ = self.environ
        length = int(environ.get("CONTENT_LENGTH") or 0)
        chunked = bool(environ.get("wsgi.input_terminated"))
        body = environ["wsgi.input"].read() if chunked else self.rfile.read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["wsgi.input_terminated"] = True
        try:
            status, headers, answer = self._answer(environ)
        except ConnectionDropped:
            self.close_connection = True
            return
        except Exception:
            _log.exception("%s %s failed", self.command, self.path)
            status, headers, answer = _failure(json_wanted="HTTP_X_AMZ_TARGET" in environ)
        self._send(status, headers, answer)

    def _answer(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            head[:] = [status, headers]

        chunks = self.server.app(environ, start_response)
        try:
            parts = list(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return head[0], head[1], parts[0] if len(parts) == 1 else b"".join(parts)

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        names: dict[str, str] = {}
        for name, value in headers:
            self.send_header(name, value)
            names[name.lower()] = value
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        bodyless = self.command == "HEAD" or int(code) in _NO_BODY
        if "content-length" not in names and not bodyless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and not bodyless:
            self.wfile.write(body)
            if len(body) < int(names.get("content-length", 0)):
                self.close_connection = True  # the client waits for the missing bytes

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: ARG002
        _log.debug(message.rstrip(), *args)


class HttpServer(ThreadedWSGIServer):  # type: ignore[misc]  # mypy does not follow werkzeug
    """Serves ``app`` on ``host:port`` with one thread per connection.

    Port 0 takes a free port. Raises :class:`CallerError` if the port is in use.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, app: WsgiApp) -> None:
        self._open: dict[threading.Thread, socket.socket] = {}
        self._guard = threading.Lock()
        with listening_socket(host, port) as listener:
            super().__init__(host, listener.getsockname()[1], app, _Handler, fd=listener.fileno())
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="local-aws", daemon=True
        )

    def start(self) -> None:
        """Start serving in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting requests, close open connections and join their threads."""
        self.shutdown()
        self._thread.join()
        with self._guard:
            threads = dict(self._open)
        for connection in threads.values():
            _shut(connection)
        for thread in threads:
            thread.join(_JOIN_S)
        self.server_close()

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        """Serve the connection in a thread of its own; :meth:`stop` closes it."""
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[thread] = request
        thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log a broken connection without a traceback on standard error."""
        _log.debug("connection failed", exc_info=True)


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound, listening TCP socket; raises :class:`CallerError` if the port is not available."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CallerError(
            f"Port {port} on {host} cannot be used ({error.strerror}); choose another port or stop what uses it."
        ) from error
    return listener


def _failure(*, json_wanted: bool) -> tuple[str, list[tuple[str, str]], bytes]:
    """An InternalFailure that boto3 can read, in the caller's protocol."""
    text = "The local AWS failed; its log has the traceback."
    if json_wanted:
        body = f'{{"__type": "InternalFailure", "message": "{text}"}}'
    else:
        error = f"<Error><Code>InternalFailure</Code><Message>{text}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>none</RequestId></ErrorResponse>"
    return "500 Internal Server Error", [("x-amzn-ErrorType", "InternalFailure")], body.encode()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("connection was already closed")
