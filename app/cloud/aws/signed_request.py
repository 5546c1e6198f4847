"""InvokeEndpoint requests as botocore sends them, made from one request of botocore's.

The requests to a region's endpoints differ in few headers. A ``RequestPattern`` takes the others from a request that botocore
prepared: address, region, user agent, security token. It signs with Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), whose key is the same for a day.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest

from app.ports import Invocation

#: The form of a request's time, in UTC.
TIMESTAMP = "%Y%m%dT%H%M%SZ"

_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/\d{8}/([^/,]+)/([^/,]+)/aws4_request, .*")
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*")
# A value that is signed as it is: botocore merges spaces first.
_HEADER_VALUE = re.compile(r"[!-~]+( [!-~]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_VARIANT = "X-Amzn-SageMaker-Target-Variant"
_TOKEN = "X-Amz-Security-Token"  # noqa: S105  # a header's name
_CONSTANT = (_TOKEN, "User-Agent", "amz-sdk-request")


class RequestPattern:
    """Makes requests like the one with ``url`` and ``headers``, which botocore prepared to invoke ``endpoint``.

    ``secret_key``: of the credentials that signed it. Raises ValueError for a request of another kind.
    """

    def __init__(self, endpoint: str, url: str, headers: Mapping[str, str], secret_key: str) -> None:
        self.base, found, rest = url.partition(f"/endpoints/{endpoint}/invocations")
        signed = _SIGNED.fullmatch(headers.get("Authorization", ""))
        if not found or rest or signed is None:
            raise ValueError("the request has another address or another kind of signature")
        self.access_key, self._region, self._service = signed.groups()
        self._constant = {name: headers[name] for name in _CONSTANT if name in headers}
        self._secret_key = secret_key
        self._host, self._path = _host(self.base), urlsplit(self.base).path
        self._day_and_key = ("", b"")

    def url(self, endpoint: str) -> str:
        """The address of ``endpoint``."""
        return f"{self.base}/endpoints/{endpoint}/invocations"

    def head(self, invocation: Invocation, attributes: str, timestamp: str, request_id: str) -> bytes:
        """The HTTP request up to its body, with the headers of ``headers`` and those that an HTTP client adds."""
        fields = self.headers(invocation, attributes, timestamp, request_id)
        lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
        start = (
            f"POST {self._target(invocation.endpoint)} HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: identity\r\n"
        )
        return f"{start}{lines}\r\n".encode("ascii")

    def headers(self, invocation: Invocation, attributes: str, timestamp: str, request_id: str) -> dict[str, str]:
        """The headers that botocore sets. ``timestamp``: UTC as ``20260131T235959Z``; ``attributes`` may be empty.

        ``plain`` must hold for the invocation.
        """
        headers = {"Accept": invocation.accept, "Content-Type": invocation.content_type, "X-Amz-Date": timestamp}
        signed = f"accept:{invocation.accept}\ncontent-type:{invocation.content_type}\nhost:{self._host}\nx-amz-date:{timestamp}\n"
        names = "accept;content-type;host;x-amz-date"
        # In the order of their names, as the signature requires it.
        for name, value in (
            (_TOKEN, self._constant.get(_TOKEN)),
            (_ATTRIBUTES, attributes),
            (_VARIANT, invocation.variant),
        ):
            if value:
                headers[name] = value
                signed += f"{name.lower()}:{value}\n"
                names += f";{name.lower()}"
        digest = sha256(invocation.body).hexdigest()
        canonical = f"POST\n{self._target(invocation.endpoint)}\n\n{signed}\n{names}\n{digest}"
        headers["Authorization"] = self._authorization(canonical, names, timestamp)
        headers["amz-sdk-invocation-id"] = request_id
        headers["Content-Length"] = str(len(invocation.body))
        return headers | self._constant

    def _target(self, endpoint: str) -> str:
        return f"{self._path}/endpoints/{endpoint}/invocations"

    def _authorization(self, canonical: str, names: str, timestamp: str) -> str:
        day = timestamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(day), text.encode(), "sha256").hex()
        return f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"

    def _signing_key(self, day: str) -> bytes:
        known, key = self._day_and_key
        if known != day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_and_key = (day, key)
        return key


def pattern_of(
    request: AWSPreparedRequest, invocation: Invocation, attributes: str, secret_key: str
) -> RequestPattern | None:
    """The pattern of a request that botocore prepared; None unless it gives the same headers, with the same signature."""
    items: Iterable[tuple[str, str | bytes]] = request.headers.items()
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in items}
    try:
        pattern = RequestPattern(invocation.endpoint, request.url, headers, secret_key)
        timestamp, request_id = headers["X-Amz-Date"], headers["amz-sdk-invocation-id"]
    except (ValueError, KeyError):
        return None
    same = pattern.headers(invocation, attributes, timestamp, request_id) == headers
    return pattern if same else None


def plain(invocation: Invocation, attributes: str) -> bool:
    """Whether its names and headers can be sent and signed as they are, without escapes."""
    values = (invocation.content_type, invocation.accept, invocation.variant or "-", attributes or "-")
    return bool(_ENDPOINT_NAME.fullmatch(invocation.endpoint)) and all(map(_HEADER_VALUE.fullmatch, values))


def _host(url: str) -> str:
    """The Host header: without a scheme's default port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
