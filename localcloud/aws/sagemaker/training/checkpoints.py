"""A host's checkpoint folder: restored from S3 before the start, and copied to S3 while the job runs.

Nothing is deleted on S3, so checkpoints that an algorithm removes are there again after a restart. All hosts write below the same
prefix, so they must not use the same file names.
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
    """One folder. :meth:`follow` starts copying, :meth:`close` ends it with a last copy."""

    def __init__(self, s3: Any, folder: Path, uri: str) -> None:
        self.folder = folder
        self._s3 = s3
        self._uri = uri.rstrip("/") + "/"
        self._copied: dict[Path, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Download the checkpoints of earlier runs, if there are any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            transfer.download(self._s3, transfer.under_prefix(self._s3, self._uri), self.folder)
        except transfer.NothingFound as nothing:
            _log.debug("no checkpoints under %s: %s", self._uri, nothing)
        self._copied = self._states()

    def follow(self, every_s: float) -> None:
        """Copy changed files every ``every_s`` seconds."""

        def copy() -> None:
            while not self._over.wait(every_s):
                self._copy()

        self._thread = threading.Thread(target=copy, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop copying, after a last copy of changed files."""
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
                    # The file was renamed or removed, or S3 failed: the next round copies what is there then.
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
