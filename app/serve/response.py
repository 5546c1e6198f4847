"""A whole HTTP answer as one value: status, headers and body, ready to be sent, kept, or sent again byte for byte."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from starlette.types import Send

from app.serve.http.problems import answer_to
from app.serve.request import Call
from app.serve.rows import Reply

VERSION_HEADER, VARIANT_HEADER = b"x-snowsage-version", b"x-snowsage-variant"

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out, but for the headers that every answer of the service has."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def to(cls, call: Call, reply: Reply) -> Answer:
        """The answer to ``call`` that was scored."""
        digest = base64.b64encode(hashlib.md5(reply.body, usedforsecurity=False).digest())
        headers = (
            (b"content-type", reply.media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(reply.body)),
            (b"content-md5", digest),
            (VERSION_HEADER, call.version.encode("latin-1")),
            *(((VARIANT_HEADER, call.variant.encode("latin-1")),) if call.variant else ()),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers),
        )
        return cls(200, headers, reply.body)

    @classmethod
    def refusing(cls, error: Exception, path: str) -> Answer:
        """The answer that tells of ``error`` on a request for ``path``."""
        response = answer_to(error, path)
        return cls(response.status_code, tuple(response.raw_headers), bytes(response.body))

    def versions(self) -> set[str]:
        """The versions that its header names: one, but in an experiment."""
        named = next((value.decode("latin-1") for name, value in self.headers if name == VERSION_HEADER), "")
        return {each.partition(";")[0] for each in named.split(", ")}

    async def send(self, send: Send) -> None:
        """Send it over ASGI."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})
