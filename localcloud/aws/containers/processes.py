"""Child processes that stand for containers: each in a process group of its own, with the container's signal handling.

Process 1 of a container ignores SIGTERM unless it handles the signal. A shell that ignores SIGTERM and then becomes the command
reproduces this, so that a ``bash`` in front of ``python`` does not forward the signal, as on AWS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_KILL_GRACE_S = 2.0


def spawn(
    command: Sequence[str], *, environment: dict[str, str], folder: Path, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` as the leader of a process group. Standard error joins standard output, which is a pipe."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" TERM; exec "$@"', "sh", *command],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def end(process: subprocess.Popen[bytes], grace_s: float = _KILL_GRACE_S) -> None:
    """Send SIGTERM to the process, then SIGKILL to its group after ``grace_s``; returns when the process has ended."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the process group; returns when the process has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
