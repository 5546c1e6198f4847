"""Key pair authentication: users with RSA or EC keys who log in with JWTs, as Snowflake recommends for services.

A user has two key slots, so that one key can be replaced while the other is in use. A token's issuer contains the
fingerprint of its key, so each key accepts only the tokens that name it.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

_ALGORITHMS = ["RS256", "ES256", "ES384", "ES512"]
_CLOCK_SKEW_S = 60
_FIRST, _LAST = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
KEY_SLOTS = ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2")


class LoginRefused(Exception):
    """A rejected login. ``code`` is Snowflake's login error code; the text is Snowflake's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Key:
    public: Any
    fingerprint: str


@dataclass
class User:
    """``options`` are properties by the names of CREATE USER; ``keys`` are public keys by property name. ``parameters`` are those
    of its sessions."""

    name: str
    options: dict[str, str | bool] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    owner: str = "ACCOUNTADMIN"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def option(self, name: str) -> str | None:
        """The value of a text property, or ``None``."""
        found = self.options.get(name)
        return found if isinstance(found, str) else None


class Users:
    """Users of one account by name. Methods are thread-safe."""

    def __init__(self, public_keys: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._users = {
            name.upper(): User(name.upper(), keys={KEY_SLOTS[0]: load_key(pem)}) for name, pem in public_keys.items()
        }

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._users

    def __iter__(self) -> Iterator[User]:
        with self._lock:
            return iter(sorted(self._users.values(), key=lambda user: user.name))

    def get(self, name: str) -> User | None:
        with self._lock:
            return self._users.get(name)

    def put(self, user: User) -> None:
        with self._lock:
            self._users[user.name] = user

    def drop(self, name: str) -> bool:
        with self._lock:
            return self._users.pop(name, None) is not None


class KeyPairVerifier:
    """Verifies logins. ``account`` is compared as the connector sends it, without a region."""

    def __init__(self, account: str, users: Users) -> None:
        self._account = account.upper()
        self._users = users

    def login(self, data: Mapping[str, Any]) -> User:
        """The user who logs in with ``data``, the ``data`` object of the login request. Raises :class:`LoginRefused`."""
        if str(data.get("AUTHENTICATOR", "")).upper() != "SNOWFLAKE_JWT":
            raise LoginRefused("390100", "Incorrect username or password was specified.")
        user = self._users.get(str(data.get("LOGIN_NAME", "")).upper())
        if user is None or not any(self._fits(str(data.get("TOKEN", "")), user, key) for key in user.keys.values()):
            raise LoginRefused("390144", "JWT token is invalid.")
        if user.options.get("DISABLED"):
            raise LoginRefused("390101", "User access disabled. Contact your local system administrator.")
        return user

    def _fits(self, token: str, user: User, key: Key) -> bool:
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=_ALGORITHMS,
                leeway=_CLOCK_SKEW_S,
                options={"require": ["iss", "sub", "iat", "exp"]},
            )
        except jwt.InvalidTokenError:
            return False
        subject = f"{self._account}.{user.name}"
        return bool(claims["sub"] == subject and claims["iss"] == f"{subject}.{key.fingerprint}")


def load_key(text: str) -> Key:
    """Load a public key in PEM, with or without the header and footer lines, as ALTER USER takes it. Raises ValueError
    if it is invalid."""
    body = "".join(text.replace(_FIRST, "").replace(_LAST, "").split())
    pem = "\n".join([_FIRST, *textwrap.wrap(body, 64), _LAST, ""])
    public = load_pem_public_key(pem.encode())
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(public, "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode())
