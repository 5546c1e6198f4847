"""A whole HTTP response as one value: status, headers and body, to be sent, stored, or sent again byte for byte."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from app.serve.request import PredictionRequest
from app.serve.rows import Reply

VERSION_HEADER, VARIANT_HEADER = b"x-snowsage-version", b"x-snowsage-variant"

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response without the headers that every response of the service has."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def scored(cls, request: PredictionRequest, reply: Reply) -> HttpResponse:
        """The response to ``request``, which was scored."""
        digest = base64.b64encode(hashlib.md5(reply.body, usedforsecurity=False).digest())
        headers = (
            (b"content-type", reply.media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(reply.body)),
            (b"content-md5", digest),
            (VERSION_HEADER, request.version.encode("latin-1")),
            *(((VARIANT_HEADER, request.variant.encode("latin-1")),) if request.variant else ()),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers),
        )
        return cls(200, headers, reply.body)

    def versions(self) -> set[str]:
        """The versions in its version header: one, or several in an experiment."""
        named = next((value.decode("latin-1") for name, value in self.headers if name == VERSION_HEADER), "")
        return {each.partition(";")[0] for each in named.split(", ")}
