"""Who may log in: key-pair JWTs only, as Snowflake wants it from services.

In: the login request's user, authenticator and token. Out: the user's name, or a refusal with Snowflake's code. The
surprise: a token's issuer holds the fingerprint of the public key, so a token signed by another key of the same user is
told apart before its signature is looked at.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

_ALGORITHMS = ["RS256", "ES256", "ES384", "ES512"]
_CLOCK_SKEW_S = 60


class LoginRefused(Exception):
    """``code``: Snowflake's login error code; the text is Snowflake's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class _Key:
    public: Any
    fingerprint: str


class KeyPairVerifier:
    """Knows the users' public keys; ``account`` is compared as the connector sends it, without a region."""

    def __init__(self, account: str, public_keys: Mapping[str, str]) -> None:
        self._account = account.upper()
        self._keys = {user.upper(): _load(pem) for user, pem in public_keys.items()}

    @property
    def users(self) -> list[str]:
        return sorted(self._keys)

    def login(self, data: Mapping[str, Any]) -> str:
        """The user who logs in with ``data`` (the login request's own object), or :class:`LoginRefused`."""
        if str(data.get("AUTHENTICATOR", "")).upper() != "SNOWFLAKE_JWT":
            raise LoginRefused("390100", "Incorrect username or password was specified.")
        user = str(data.get("LOGIN_NAME", "")).upper()
        key = self._keys.get(user)
        if key is None:
            raise _invalid_token()
        self._check(str(data.get("TOKEN", "")), user, key)
        return user

    def _check(self, token: str, user: str, key: _Key) -> None:
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=_ALGORITHMS,
                leeway=_CLOCK_SKEW_S,
                options={"require": ["iss", "sub", "iat", "exp"]},
            )
        except jwt.InvalidTokenError as error:
            raise _invalid_token() from error
        subject = f"{self._account}.{user}"
        if claims["sub"] != subject or claims["iss"] != f"{subject}.{key.fingerprint}":
            raise _invalid_token()


def _invalid_token() -> LoginRefused:
    return LoginRefused("390144", "JWT token is invalid.")


def _load(pem: str) -> _Key:
    public = load_pem_public_key(pem.encode())
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _Key(public, "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode())
