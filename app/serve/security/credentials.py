"""Credentials: finds the caller and its scopes from a request's headers.

The gateway adds a shared secret, because AWS does not check a caller that reaches the service without the gateway. Other callers
send an API key (``Authorization: Bearer`` or ``x-api-key``). Several secrets and keys are valid at a time, so they can be rotated.

A value is looked up by a digest with a key that each process draws at random. So one lookup serves any number of credentials, and
its duration reveals nothing: no caller can know or choose such a digest. Of an API key only the SHA-256 is configured, so its first
request takes two more digests; then it is found by its own.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import SecretStr

from app.errors import CallerError, Unauthorized
from app.serve.security.api_keys import GATEWAY, SCOPES, ApiKey, KeyFile, ScopeName, parse_key
from app.settings import ServeSettings

HEADER = "x-snowsage-secret"

_SECRET, _AUTHORIZATION, _API_KEY = HEADER.encode(), b"authorization", b"x-api-key"
_BEARER = b"bearer "


class Forbidden(CallerError):
    """The credential is valid but lacks the scope."""

    def __init__(self, caller: str, scope: ScopeName) -> None:
        super().__init__(f"the key of {caller} does not have the scope {scope}, which this path needs")
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. ``name`` comes from the settings, never from the request."""

    name: str
    scopes: frozenset[ScopeName]

    @property
    def gateway(self) -> bool:
        """Whether it sent a shared secret: only then are the headers about Snowflake's user Snowflake's own."""
        return self.name == GATEWAY

    def require(self, scope: ScopeName) -> None:
        """Raise Forbidden if the caller lacks ``scope``."""
        if scope not in self.scopes:
            raise Forbidden(self.name, scope)


#: The caller of paths that need no credential.
ANYONE = Caller("", frozenset())


def scope_for(method: str, path: str) -> ScopeName:
    """The scope that a path needs, also one that does not exist: ``read`` if the method only reads, ``run`` for all others.

    ``/runs`` is reserved for ``run``; it has no route.
    """
    if path.startswith("/predict/") or (method == "POST" and path.endswith(("/predict", "/infer"))):
        return "predict"
    if path == "/v2/repository/index":  # a POST by its protocol, but it only reads
        return "read"
    reads = method in ("GET", "HEAD") and path != "/runs" and not path.startswith("/runs/")
    return "read" if reads else "run"


class Credentials:
    """The valid secrets and keys."""

    def __init__(self, shared: Iterable[SecretStr], keys: Iterable[ApiKey] = (), file: KeyFile | None = None) -> None:
        """``shared``: secrets with all scopes. Raises CallerError if there is no credential, or an empty one."""
        values = [secret.get_secret_value() for secret in shared]
        self._keys, self._file = tuple(keys), file
        if not all(values) or not (values or self._keys or file):
            raise CallerError(
                "the service needs at least one secret or API key, and none may be empty; set SNOWSAGE_SECRETS, "
                "or SNOWSAGE_API_KEYS to a line of `snowsage serve key`"
            )
        # Copied for each value, which takes two thirds of the time that a new one with the same key takes.
        self._keyed = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)
        gateway = Caller(GATEWAY, frozenset(SCOPES))
        self._by_secret = {self._digest(value.encode()): gateway for value in values}
        self._by_key, self._seen = self._known_keys(), dict[bytes, Caller]()

    def caller_of(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller that sent ``headers`` (names in lower case). Raises Unauthorized.

        A valid secret comes first: gateways pass on callers' own headers, which may have the names of ours.
        """
        secret = authorization = key = b""
        for name, value in headers:
            if name == _SECRET:
                secret = value
            elif name == _AUTHORIZATION:
                authorization = value
            elif name == _API_KEY:
                key = value
        caller = self._by_secret.get(self._digest(secret)) if secret else None
        if caller is None and authorization[: len(_BEARER)].lower() == _BEARER:
            caller = self._of_key(authorization[len(_BEARER) :].strip())
        if caller is None and key:
            caller = self._of_key(key)
        if caller is None:
            raise Unauthorized(
                f"a credential is missing or wrong; send {HEADER}, or an API key as Authorization: Bearer or x-api-key"
            )
        return caller

    def _of_key(self, presented: bytes) -> Caller | None:
        if not presented:
            return None
        if self._file is not None and self._file.changed():
            self._by_key, self._seen = self._known_keys(), {}
        digest = self._digest(presented)
        if (caller := self._seen.get(digest)) is not None:
            return caller
        caller = self._by_key.get(self._digest(hashlib.sha256(presented).digest()))
        if caller is not None:  # so there are no more than valid keys
            self._seen[digest] = caller
        return caller

    def _known_keys(self) -> dict[bytes, Caller]:
        keys = (*self._keys, *(self._file.keys if self._file else ()))
        return {self._digest(key.digest): Caller(key.name, key.scopes) for key in keys}

    def _digest(self, value: bytes) -> bytes:
        found = self._keyed.copy()
        found.update(value)
        return found.digest()


def read_credentials(settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> Credentials:
    """The credentials of ``settings``. ``clock``: for when the file of keys is read again.

    Raises CallerError if there is none, or one cannot be read.
    """
    file = KeyFile(settings.api_keys_file, clock) if settings.api_keys_file else None
    return Credentials(settings.secrets, map(parse_key, settings.api_keys), file)
