"""One request between the connection and the application: a whole response is checked and sent at once.

uvicorn's cycle sends the head of a response before its body, and checks each of its headers by two searches. Each write costs as
much as scoring several rows, and wakes the caller. So this one keeps the head until the body starts; if the response is then
complete, as nearly all are, both are sent together. All other responses are left to uvicorn.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

#: In the ASGI scope: a function that returns the request's body if all of it has arrived, else nothing.
WHOLE_BODY = "snowsage.whole_body"

_LINES = re.compile(rb"(?:[a-z0-9-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


class Cycle(RequestResponseCycle):
    """uvicorn's cycle, with one write for a whole response."""

    def __init__(self, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._start: Message | None = None
        self.scope[WHOLE_BODY] = self._whole_body  # type: ignore[literal-required]  # ours

    def _whole_body(self) -> bytes:
        """The body, if it has arrived and was not received yet: so a small one needs no time limit. Else empty."""
        if self.more_body or self.disconnected or self.response_complete:
            return b""
        whole, self.body = bytes(self.body), bytearray()
        return whole

    async def send(self, message: Message) -> None:  # type: ignore[override]  # uvicorn's own types of messages
        """Take a message of the application."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if self._send_whole(start, message):
                return
            await super().send(start)  # type: ignore[arg-type]
        await super().send(message)  # type: ignore[arg-type]

    def _send_whole(self, start: Message, message: Message) -> bool:
        """Send the response if ``message`` completes it and the connection stays open; False if nothing was sent."""
        body = message.get("body", b"")
        headers = [*self.default_headers, *start.get("headers", ())]
        named = dict(headers)
        whole = (
            not message.get("more_body")
            and self.keep_alive
            and not (self.disconnected or self.flow.write_paused)
            and self.scope["method"] != "HEAD"
            and named.get(b"content-length") == b"%d" % len(body)
            and b"connection" not in named
            and b"transfer-encoding" not in named
        )
        lines = _lines(headers) if whole else None
        if lines is None:
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.writelines((STATUS_LINE[start["status"]], lines, b"\r\n", body))
        self.message_event.set()
        self.on_response()
        return True


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The lines of a head; None if a name or a value has other characters than it may have, or a name is not in lower case."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    # One line for each header: none of them contains the end of a line.
    return lines if lines.count(b"\n") == len(headers) and _LINES.fullmatch(lines) else None
