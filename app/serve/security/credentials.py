"""Who calls: a request's headers -> the caller and what it may do, or a refusal.

The gateway injects a shared secret, for whoever reaches the service behind it is not checked by AWS any more. Others bring
an API key (``Authorization: Bearer`` or ``x-api-key``). Several of both are valid at a time, so that they can be rotated.

The one surprise: a value is looked up by a digest under a key that each process draws for itself. So one look-up serves any
number of keys, and the time it takes tells nothing that could be used: nobody outside can know or choose such a digest.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import SecretStr

from app.errors import CallerError, Unauthorized
from app.serve.security.api_keys import GATEWAY, LOOK_EVERY_S, SCOPES, ApiKey, KeyFile, ScopeName, parse_key
from app.settings import ServeSettings

HEADER = "x-snowsage-secret"

_SECRET, _AUTHORIZATION, _API_KEY = HEADER.encode(), b"authorization", b"x-api-key"
_BEARER = b"bearer "


class Forbidden(CallerError):
    """The caller is known and may not do this."""

    http_status = 403
    problem = "forbidden"

    def __init__(self, caller: str, scope: ScopeName) -> None:
        super().__init__(f"the key of {caller} does not have the scope {scope}, which this path needs")
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in. ``name`` comes from the settings, never from the request."""

    name: str
    scopes: frozenset[ScopeName]

    def require(self, scope: ScopeName) -> None:
        """Raises Forbidden where the caller lacks ``scope``."""
        if scope not in self.scopes:
            raise Forbidden(self.name, scope)


#: Who called where nobody had to say it.
ANYONE = Caller("", frozenset())


def scope_for(method: str, path: str) -> ScopeName:
    """What a path needs, also one that does not exist: looking needs ``read``, and what is not known to be harmless ``run``."""
    if path.startswith("/predict/") or (method == "POST" and path.endswith(("/predict", "/infer"))):
        return "predict"
    if path == "/v2/repository/index":  # a POST by its protocol, and yet only a look
        return "read"
    looks = method in ("GET", "HEAD") and path != "/runs" and not path.startswith("/runs/")
    return "read" if looks else "run"


class Credentials:
    """The secrets and keys in force."""

    def __init__(self, shared: Iterable[SecretStr], keys: Iterable[ApiKey] = (), file: KeyFile | None = None) -> None:
        """``shared``: secrets, whose holders may do everything. CallerError where there is no credential, or an empty one."""
        values = [secret.get_secret_value() for secret in shared]
        self._keys, self._file = tuple(keys), file
        if not all(values) or not (values or self._keys or file):
            raise CallerError(
                "the service needs at least one secret or API key, and none may be empty; set SNOWSAGE_SECRETS, "
                "or SNOWSAGE_API_KEYS to a line of `snowsage serve key`"
            )
        self._blind = secrets.token_bytes(32)
        gateway = Caller(GATEWAY, frozenset(SCOPES))
        self._by_secret = {self._digest(value.encode()): gateway for value in values}
        self._by_key = self._known_keys()

    def caller_of(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sent ``headers`` (names in lower case). Raises Unauthorized.

        A valid secret comes first: gateways pass headers named like ours on, which are none of ours.
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
        if self._file is not None and self._file.changed():
            self._by_key = self._known_keys()
        return self._by_key.get(self._digest(presented))

    def _known_keys(self) -> dict[bytes, Caller]:
        keys = (*self._keys, *(self._file.keys if self._file else ()))
        return {self._blinded(key.digest): Caller(key.name, key.scopes) for key in keys}

    def _digest(self, value: bytes) -> bytes:
        return self._blinded(hashlib.sha256(value).digest())

    def _blinded(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._blind, digest_size=32).digest()


def read_credentials(settings: ServeSettings, look_every_s: float = LOOK_EVERY_S) -> Credentials:
    """The credentials of ``settings``; a file of keys is looked at each ``look_every_s`` seconds.

    CallerError where there is none, or one cannot be read.
    """
    file = KeyFile(settings.api_keys_file, look_every_s=look_every_s) if settings.api_keys_file else None
    return Credentials(settings.secrets, map(parse_key, settings.api_keys), file)
