"""A container's output as a CloudWatch Logs stream, sent in batches while the container runs.

CloudWatch accepts no empty message, so blank lines are dropped, as on AWS.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

_log = logging.getLogger(__name__)

_BATCH = 500
_EVERY_S = 0.5
_MESSAGE_BYTES = 256_000


class LogStream:
    """One stream of one log group. ``on_line`` is called with every line as it arrives."""

    def __init__(self, client: Any, group: str, stream: str, on_line: Callable[[str], None] | None = None) -> None:
        self.group = group
        self.stream = stream
        self._client = client
        self._on_line = on_line
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        _create(client.create_log_group, logGroupName=group)
        # A job that restarts within the same second continues its stream.
        _create(client.create_log_stream, logGroupName=group, logStreamName=stream)
        self._sender = threading.Thread(target=self._send, name=f"logs {stream}", daemon=True)
        self._sender.start()

    def write(self, line: str) -> None:
        """Add one line, given without its newline."""
        if not line.strip():
            return
        if self._on_line:
            self._on_line(line)
        self._lines.put((int(time.time() * 1000), line[:_MESSAGE_BYTES]))

    def pump(self, output: IO[bytes]) -> threading.Thread:
        """Add every line of ``output`` from a thread that ends with it."""

        def copy() -> None:
            with output:
                for line in output:
                    self.write(line.decode("utf-8", "replace").rstrip("\r\n"))

        thread = threading.Thread(target=copy, name=f"output {self.stream}", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Send the remaining lines."""
        self._lines.put(None)
        self._sender.join()

    def _send(self) -> None:
        open_ = True
        while open_:
            batch: list[tuple[int, str]] = []
            deadline = time.monotonic() + _EVERY_S
            while len(batch) < _BATCH:
                try:
                    item = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if item is None:
                    open_ = False
                    break
                batch.append(item)
            if batch:
                self._put(batch)

    def _put(self, batch: list[tuple[int, str]]) -> None:
        events = [{"timestamp": at, "message": line} for at, line in batch]
        try:
            self._client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)
        except (BotoCoreError, ClientError):
            _log.debug("log lines of %s were not stored", self.stream, exc_info=True)


def _create(operation: Callable[..., Any], **names: str) -> None:
    """Create a group or stream, unless it exists.

    Compares the error code: a client that several threads use for the first time may build its exception classes twice.
    """
    try:
        operation(**names)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise
