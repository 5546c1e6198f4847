"""A model artefact on S3: downloaded, verified by its digest, and unpacked.

The digest is of the bytes of ``model.tar.gz`` on S3, so every later reader verifies the archive before it unpacks it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import PermanentError, TransientError
from app.ports import ObjectStore
from app.registry.archive import ArchiveError, unpack
from sagemaker_entry.model import CONTRACT_FILE, MODEL_FILE, Model


@dataclass(frozen=True)
class Artifact:
    """An unpacked artefact. ``folder`` lives as long as the context that made it."""

    folder: Path
    sha256: str

    def json(self, name: str) -> dict[str, Any]:
        """One of its JSON files, which holds an object. Raises PermanentError for anything else."""
        try:
            found = json.loads(self.path(name).read_text())
        except (ValueError, RecursionError) as error:
            raise PermanentError(f"{name} of the model artefact is not JSON; train again") from error
        if not isinstance(found, dict):
            raise PermanentError(f"{name} of the model artefact does not hold an object; train again")
        return found

    def path(self, name: str) -> Path:
        """One of its files. Raises PermanentError if it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise PermanentError(f"the model artefact holds no {name}; it was not written by sagemaker_entry.train")
        return path


@contextmanager
def fetched(store: ObjectStore, uri: str, expected_sha256: str | None = None) -> Iterator[Artifact]:
    """The artefact at ``uri``, unpacked into a folder that is removed afterwards.

    Raises PermanentError if its digest is not the expected one; nothing is unpacked then. Raises TransientError if this machine
    has no room for it.
    """
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="snowsage-model-"))
            artifact = _unpacked(store, uri, expected_sha256, Path(temporary))
        except OSError as error:
            raise TransientError(
                f"{uri} cannot be unpacked on this machine ({error.strerror or type(error).__name__}); make room in the folder "
                "for temporary files, or set TMPDIR to a folder that has some"
            ) from error
        yield artifact


def _unpacked(store: ObjectStore, uri: str, expected_sha256: str | None, temporary: Path) -> Artifact:
    archive = temporary / "model.tar.gz"
    store.download(uri, archive)
    digest = sha256_of(archive)
    if expected_sha256 is not None and digest != expected_sha256:
        raise PermanentError(
            f"{uri} is not what was registered: its SHA-256 is {digest[:12]}…, the registry says {expected_sha256[:12]}…; "
            "it was changed, so train again"
        )
    folder = temporary / "model"
    try:
        unpack(archive, folder)
    except ArchiveError as error:
        raise PermanentError(f"{uri} cannot be unpacked: {error}") from error
    return Artifact(folder, digest)


def load(artifact: Artifact, threads: int | None = None) -> Model:
    """The model of an artefact; ``threads`` as in ``Model.load``. Raises PermanentError for one that is incomplete or damaged."""
    for name in (MODEL_FILE, CONTRACT_FILE):
        artifact.path(name)
    try:
        return Model.load(artifact.folder, threads)
    except (ValueError, RecursionError) as error:  # of JSON, of the contract, of the booster's structure
        raise PermanentError(f"the model artefact cannot be loaded: {error}") from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
