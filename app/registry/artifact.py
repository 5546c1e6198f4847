"""A model artefact on S3: downloaded, verified by its digest, and unpacked.

The digest is of the bytes of ``model.tar.gz`` on S3, so every later reader verifies the archive before it unpacks it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import PermanentError
from app.ports import ObjectStore
from app.registry.archive import ArchiveError, unpack


@dataclass(frozen=True)
class Artifact:
    """An unpacked artefact. ``folder`` lives as long as the context that made it."""

    folder: Path
    sha256: str

    def json(self, name: str) -> dict[str, Any]:
        """One of its JSON files."""
        path = self.folder / name
        if not path.is_file():
            raise PermanentError(f"the model artefact holds no {name}; it was not written by sagemaker_entry.train")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@contextmanager
def fetched(store: ObjectStore, uri: str, expected_sha256: str | None = None) -> Iterator[Artifact]:
    """The artefact at ``uri``, unpacked into a folder that is removed afterwards.

    Raises PermanentError if its digest is not the expected one; nothing is unpacked then.
    """
    with tempfile.TemporaryDirectory(prefix="snowsage-model-") as temporary:
        archive = Path(temporary) / "model.tar.gz"
        store.download(uri, archive)
        digest = sha256_of(archive)
        if expected_sha256 is not None and digest != expected_sha256:
            raise PermanentError(
                f"{uri} is not what was registered: its SHA-256 is {digest[:12]}…, the registry says {expected_sha256[:12]}…; "
                "it was changed, so train again"
            )
        folder = Path(temporary) / "model"
        try:
            unpack(archive, folder)
        except ArchiveError as error:
            raise PermanentError(f"{uri} cannot be unpacked: {error}") from error
        yield Artifact(folder, digest)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
