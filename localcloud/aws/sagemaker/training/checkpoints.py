"""A host's checkpoint folder and its copy on S3: filled before the start, kept up to date while the job runs.

In: a folder and a prefix. Out: the same files in both. Two surprises: nothing is ever deleted on S3, so an algorithm
that clears old checkpoints away finds them again after a restart; and every host writes below the same prefix, so
hosts must not use the same file names.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.aws.s3 import transfer

_log = logging.getLogger(__name__)


class Checkpoints:
    """One folder. :meth:`follow` begins the copying, :meth:`close` ends it with a last copy."""

    def __init__(self, s3: Any, folder: Path, uri: str) -> None:
        self.folder = folder
        self._s3 = s3
        self._uri = uri.rstrip("/") + "/"
        self._copied: dict[Path, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """What earlier runs left on S3; a first run finds nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            transfer.download(self._s3, transfer.under_prefix(self._s3, self._uri), self.folder)
        except transfer.NothingFound as nothing:
            _log.debug("no checkpoints under %s: %s", self._uri, nothing)
        self._copied = self._states()

    def follow(self, every_s: float) -> None:
        """Copy what changed every ``every_s`` seconds from now on."""

        def copy() -> None:
            while not self._over.wait(every_s):
                self._copy()

        self._thread = threading.Thread(target=copy, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy what changed since the last time."""
        self._over.set()
        if self._thread:
            self._thread.join()
        self._copy()

    def _copy(self) -> None:
        bucket, prefix = transfer.split_uri(self._uri)
        for path, state in self._states().items():
            if self._copied.get(path) != state:
                try:
                    self._s3.upload_file(str(path), bucket, prefix + path.relative_to(self.folder).as_posix())
                except (BotoCoreError, ClientError, S3UploadFailedError, OSError):
                    # Renamed or removed meanwhile, or S3 refuses: the next round tries what is there then.
                    _log.debug("checkpoint %s was not saved", path, exc_info=True)
                else:
                    self._copied[path] = state

    def _states(self) -> dict[Path, tuple[int, int]]:
        states = {}
        for path in sorted(self.folder.rglob("*")):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                states[path] = (found.st_size, found.st_mtime_ns)
        return states
