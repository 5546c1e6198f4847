"""Chunks of large results, on disk, which the connector fetches one by one.

A chunk is readable by anyone who knows its name, as with Snowflake's presigned URLs. When the chunks take too much room, the
oldest are removed; Snowflake removes them after a day.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

_LARGEST_BYTES = 16 * 2**30


class ChunkStore:
    """The chunks of all results of one server. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="localcloud-results-")
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, piece: bytes) -> str:
        """Store one chunk; returns the name for :meth:`path`."""
        name = secrets.token_hex(16)
        (Path(self._folder.name) / name).write_bytes(piece)
        with self._lock:
            self._sizes[name] = len(piece)
            while sum(self._sizes.values()) > _LARGEST_BYTES and len(self._sizes) > 1:
                oldest, _ = self._sizes.popitem(last=False)
                (Path(self._folder.name) / oldest).unlink()
        return name

    def path(self, name: str) -> Path | None:
        with self._lock:
            return Path(self._folder.name) / name if name in self._sizes else None

    def close(self) -> None:
        self._folder.cleanup()
