"""API keys: lines ``name:scopes:sha256``, from the settings and from a file that may change.

Digests have no salt, because a key is 256 random bits and cannot be guessed.

A key file that becomes unreadable or invalid changes nothing: the keys that were valid stay valid, and the log has a warning, so
that an editing mistake does not lock out all callers. Removing its line from the file revokes a key.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from app import log
from app.errors import CallerError

ScopeName = Literal["predict", "run", "read"]

SCOPES: tuple[ScopeName, ...] = get_args(ScopeName)
#: The name of the caller that sends a shared secret; no key may have it.
GATEWAY = "gateway"
#: Seconds between two checks of the file.
CHECK_EVERY_S = 1.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: A script that hashes an unset variable writes this digest.
_OF_NOTHING = hashlib.sha256(b"").digest()
_FORM = "an API key is written as name:scopes:sha256, its scopes joined by +, such as shop:predict+read:9f86..."

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ApiKey:
    """A key as the service stores it. ``digest``: SHA-256 of the key. Two keys may have the same name during a rotation."""

    name: str
    scopes: frozenset[ScopeName]
    digest: bytes

    @property
    def line(self) -> str:
        """The key as settings and files contain it."""
        return f"{self.name}:{'+'.join(scope for scope in SCOPES if scope in self.scopes)}:{self.digest.hex()}"


def make_key(name: str, scopes: Iterable[str]) -> tuple[str, ApiKey]:
    """A new key, shown once, and the form that the service stores. Raises CallerError for an invalid name or scope."""
    key = f"snowsage_{secrets.token_urlsafe(32)}"
    return key, parse_key(f"{name}:{'+'.join(scopes)}:{hashlib.sha256(key.encode()).hexdigest()}")


def parse_key(line: str) -> ApiKey:
    """Parse ``name:scopes:sha256``. Raises CallerError, which never quotes the last part: it may be a key itself."""
    parts = [part.strip() for part in line.split(":")]
    if len(parts) != 3:
        raise CallerError(_FORM)
    name, scopes, digest = parts
    if not _NAME.fullmatch(name) or name == GATEWAY:
        raise CallerError(
            f"an API key's name has 1 to 64 letters, digits, dots and dashes, and is not {GATEWAY!r}; {_FORM}"
        )
    found = frozenset(scope for scope in SCOPES if scope in scopes.split("+"))
    if len(found) != len(scopes.split("+")):
        raise CallerError(f"the API key {name} has scopes that do not exist; there are {', '.join(SCOPES)}")
    if not _DIGEST.fullmatch(digest):
        raise CallerError(
            f"the API key {name} does not end in a SHA-256 of 64 hex digits; `snowsage serve key` prints it"
        )
    if bytes.fromhex(digest) == _OF_NOTHING:
        raise CallerError(f"the API key {name} has the SHA-256 of an empty text; `snowsage serve key` makes a key")
    return ApiKey(name, found, bytes.fromhex(digest))


def parse_file(text: str) -> tuple[ApiKey, ...]:
    """Parse one key a line; empty lines and lines that start with # are skipped. Raises CallerError that names the line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(parse_key(line))
            except CallerError as error:
                raise CallerError(f"line {number}: {error}") from None
    return tuple(found)


class KeyFile:
    """A file of keys, read again when it changes; checked every ``CHECK_EVERY_S`` seconds at most."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises CallerError if the file cannot be used: at the start that is an error, later only a warning."""
        self._path, self._clock = path, clock
        self._check_at = -math.inf
        self._stamp: object = None
        self.keys: tuple[ApiKey, ...] = ()
        self._read()

    def changed(self) -> bool:
        """Whether ``keys`` changed since the last call."""
        if self._clock() < self._check_at:
            return False
        before = self.keys
        try:
            self._read()
        except CallerError as error:
            log.event(_logger, logging.WARNING, "the API keys stay as they were", error=error)
        return self.keys != before

    def _read(self) -> None:
        self._check_at = self._clock() + CHECK_EVERY_S
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return
            text = self._path.read_text()
        except (OSError, UnicodeError) as error:
            raise CallerError(f"the file of API keys {self._path} cannot be read ({type(error).__name__})") from error
        self._stamp = stamp
        try:
            self.keys = parse_file(text)
        except CallerError as error:
            raise CallerError(f"the file of API keys {self._path} is wrong at {error}") from None
