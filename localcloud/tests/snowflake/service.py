"""A small prediction service that answers external function batches as a test specifies and records the requests."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """A received request; ``rows`` is empty for a GET."""

    method: str
    path: str
    headers: dict[str, str]
    rows: list[list[Any]]
    raw: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Behaviour = Callable[[Seen], Reply]


def rows_reply(values: list[Any], **headers: str) -> Reply:
    body = json.dumps({"data": [[number, value] for number, value in enumerate(values)]}).encode()
    return Reply(200, body, {name.replace("_", "-"): value for name, value in headers.items()})


def added(request: Seen) -> Reply:
    """The sum of a row's arguments, with NULL as zero."""
    return rows_reply([sum(value or 0 for value in row[1:]) for row in request.rows])


class Service:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.behaviours: dict[str, Behaviour] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Seen) -> Reply:
        with self._lock:
            self.seen.append(request)
        return self.behaviours[request.path](request)

    def on(self, path: str) -> list[Seen]:
        return [request for request in self.seen if request.path == path]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                encoding = self.headers.get("Content-Encoding")
                body = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(encoding, bytes)(raw)
                self._reply(json.loads(body)["data"], raw)

            def do_GET(self) -> None:
                self._reply([], b"")

            def _reply(self, rows: list[list[Any]], raw: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = service.answer(Seen(self.command, self.path, headers, rows, raw))
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Suppress request logging."""

        return Handler


def functions(sql: Callable[..., Any], service: Service, schema: str, arguments: str = "a FLOAT") -> Callable[..., str]:
    """A factory of functions answered by ``behaviour``; it returns the path that the service sees.

    ``|`` separates options before API_INTEGRATION from options after it.
    """
    sql(
        "CREATE API INTEGRATION IF NOT EXISTS api API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
        f"API_ALLOWED_PREFIXES = ('{service.url}/') ENABLED = TRUE"
    )

    def create(
        behaviour: Callable[[Seen], Reply] = added,
        arguments: str = arguments,
        returns: str = "FLOAT",
        options: str = "",
        name: str = "f",
    ) -> str:
        nulls, _, rest = options.partition("|")
        path = f"/{schema.lower()}/{name}/{len(service.behaviours)}"
        service.behaviours[path] = behaviour
        sql(
            f"CREATE OR REPLACE EXTERNAL FUNCTION {name}({arguments}) RETURNS {returns} {nulls} "
            f"API_INTEGRATION = api {rest} AS '{service.url}{path}'"
        )
        return path

    return create
