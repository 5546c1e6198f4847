"""The shared secret that the gateway injects: a header's value -> admitted or not.

Whoever reaches the service behind the gateway is not checked by AWS any more; the secret closes that side. Several are
valid at a time, so that they can be rotated.

The one surprise: digests are compared, and all of them, so that the time taken tells neither a length nor which one fits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr

from app.errors import CallerError

HEADER = "x-snowsage-secret"


class Secrets:
    """The secrets in force, as digests."""

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        values = [secret.get_secret_value() for secret in secrets]
        if not values or not all(values):
            raise CallerError("the service needs at least one secret, and none may be empty; set SNOWSAGE_SECRETS")
        self._digests = [_digest(value.encode()) for value in values]

    def admits(self, presented: bytes | None) -> bool:
        """Whether the header's value is one of the secrets; None where the header is absent."""
        given = _digest(presented or b"")
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches)


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
