"""``ports.ServiceControl``, against a server with scripted responses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.cloud.service import ServiceClient
from app.errors import CallerError, PermanentError, TransientError, Unauthorized
from app.serve.security.credentials import HEADER


@contextmanager
def answering(status: int, body: bytes, seen: list[tuple[str, str | None]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((self.path, self.headers.get(HEADER)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_refresh_sends_the_secret_and_returns_the_served_version() -> None:
    seen: list[tuple[str, str | None]] = []
    with answering(200, b'{"version": "1.2"}', seen) as url:
        assert ServiceClient(f"{url}/", "s3cret").refresh("churn") == {"version": "1.2"}
    assert seen == [("/models/churn/refresh", "s3cret")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (503, TransientError), (429, TransientError), (404, PermanentError), (500, PermanentError)],
)
def test_rejections_raise_distinct_errors_that_show_no_secret(status: int, kind: type[Exception]) -> None:
    with answering(status, b"no", []) as url, pytest.raises(kind) as caught:
        ServiceClient(url, "s3cret").refresh("churn")
    assert "s3cret" not in str(caught.value)


def test_the_error_for_a_service_that_is_down_says_how_to_start_it() -> None:
    with pytest.raises(TransientError, match="snowsage serve"):
        ServiceClient("http://127.0.0.1:9", "s").refresh("churn")
    with pytest.raises(CallerError, match="SNOWSAGE_API_URL"):
        ServiceClient("file:///etc/passwd", "s")
