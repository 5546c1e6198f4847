"""The processes of a server: started on given cores, their CPU seconds and memory summed over the whole tree, stopped.

CPU time is read from the clock that Linux keeps for each process, in nanoseconds: ``/proc`` has steps of 10 ms, in which a
window with few small requests would cost nothing. A process that ended between two readings is still counted, through its parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_GRACE_S = 10.0
#: CPUCLOCK_SCHED of Linux's posix-timers.h.
_PRECISE = 2


@contextlib.contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Run this thread, and the processes that it starts in the block, on ``cores`` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], cores: set[int]
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a new process group, on ``cores``; its output goes to ``output.log`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with on_cores(cores), (folder / "output.log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def tree(roots: Sequence[int]) -> list[psutil.Process]:
    """The running processes of the trees of ``roots``."""
    found: dict[int, psutil.Process] = {}
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(root)
            found |= {process.pid: process for process in (top, *top.children(recursive=True))}
    return list(found.values())


def cpu_s(members: Sequence[psutil.Process]) -> float:
    """User and system seconds since their start, including children that ended."""
    total = 0.0
    for process in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.children_user + times.children_system
        with contextlib.suppress(OSError):  # it ended
            total += time.clock_gettime(_clock_of(process.pid))
    return total


def _clock_of(pid: int) -> int:
    """As ``clock_getcpuclockid`` makes it (clock_gettime(2)): the process's number, and its precise clock of all threads."""
    return (~pid << 3) | _PRECISE


def memory_mib(members: Sequence[psutil.Process]) -> tuple[float, float]:
    """Resident and proportional set size in MiB; only the second counts shared memory once."""
    resident = proportional = 0.0
    for process in members:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            full = process.memory_full_info()
            resident, proportional = resident + full.rss, proportional + full.pss
    return resident / 2**20, proportional / 2**20


def forget_peaks(members: Sequence[psutil.Process]) -> None:
    """Reset what ``peak_mib`` measures."""
    for process in members:
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mib(members: Sequence[psutil.Process]) -> float:
    """The sum of every process's largest resident set, in MiB."""
    kib = 0
    for process in members:
        with contextlib.suppress(OSError, IndexError):  # it ended, and has no memory
            status = Path(f"/proc/{process.pid}/status").read_text()
            kib += int(status.partition("VmHWM:")[2].split()[0])
    return kib / 1024


def pin(members: Sequence[psutil.Process], cores: set[int]) -> None:
    """Move every thread of every process to ``cores``."""
    for process in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, cores)


def signal_all(members: Sequence[psutil.Process], number: int) -> None:
    """Send a signal to all running processes, parents last."""
    for process in reversed(members):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the process, later SIGKILL to the rest of its tree; returns when the tree has ended."""
    members = tree([process.pid])
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    signal_all(members, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(members, timeout=_GRACE_S)


def wait_until(ready: Iterator[bool], process: subprocess.Popen[bytes], timeout_s: float, log: Path) -> None:
    """Return when ``ready`` is True. Raises RuntimeError with the end of the log if the process ended or the time is over."""
    deadline = time.monotonic() + timeout_s
    for is_ready in ready:
        if is_ready:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    text = log.read_text(errors="replace") if log.is_file() else ""
    raise RuntimeError(f"the server did not get ready:\n{text[-3000:]}")
