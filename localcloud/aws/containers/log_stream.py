"""A container's output on its way to CloudWatch Logs: lines in, batches out while it runs, the last lines kept.

The surprise: CloudWatch takes no empty message, so blank lines do not appear, as at AWS.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

_log = logging.getLogger(__name__)

_BATCH = 500
_EVERY_S = 0.5
_MESSAGE_BYTES = 256_000


class LogStream:
    """One stream of one group. ``on_line`` sees every line as it arrives; ``tail`` holds the last ones."""

    def __init__(self, client: Any, group: str, stream: str, on_line: Callable[[str], None] | None = None) -> None:
        self.group = group
        self.stream = stream
        self.tail: deque[str] = deque(maxlen=20)
        self._client = client
        self._on_line = on_line
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        # A job that starts again within the second writes on.
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._sender = threading.Thread(target=self._send, name=f"logs {stream}", daemon=True)
        self._sender.start()

    def write(self, line: str) -> None:
        """One line, without its newline."""
        if not line.strip():
            return
        self.tail.append(line)
        if self._on_line:
            self._on_line(line)
        self._lines.put((int(time.time() * 1000), line[:_MESSAGE_BYTES]))

    def pump(self, output: IO[bytes]) -> threading.Thread:
        """Write every line of ``output`` from a thread of its own, which ends when the output does."""

        def copy() -> None:
            with output:
                for line in output:
                    self.write(line.decode("utf-8", "replace").rstrip("\r\n"))

        thread = threading.Thread(target=copy, name=f"output {self.stream}", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Send what is left."""
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
            _log.debug("log lines of %s were not kept", self.stream, exc_info=True)
