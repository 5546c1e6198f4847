"""The lease of a pipeline: one process at a time runs its stages.

The lease is an object on S3, ``s3://<bucket>/<pipeline>/lease.json``. It is created, renewed and removed by conditional requests,
so of several processes one has it. Its age is measured by S3's clock alone: clocks of different machines are never compared. A
lease that was not renewed for ``TTL_S`` has expired, and the next process takes it over. A process that dies on the same machine
is noticed at once.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.errors import NotFound, SnowsageError, TransientError
from app.ports import ObjectStore, Versioned

#: Seconds after its last renewal at which a lease expires.
TTL_S = 120.0
#: Seconds between two renewals: several may fail before the lease expires.
RENEW_S = 20.0
#: Attempts to get a lease that other processes take and release at the same time.
_ATTEMPTS = 10

_TIME = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class Process:
    """A process as others on its machine can find it. ``machine``: empty if the machine cannot be identified."""

    user: str
    host: str
    machine: str
    pid: int
    started: str


@dataclass(frozen=True)
class Holder:
    """What a lease says about the process that has it. ``token`` is unique; ``work``: what it does, for people."""

    token: str
    work: str
    process: Process
    since: str
    ttl_s: float

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Holder | None:
        """The holder in ``body``; None if it is damaged."""
        try:
            found: dict[str, Any] = json.loads(body)
            return cls(**{**found, "process": Process(**found["process"]), "ttl_s": float(found["ttl_s"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True)
class Found:
    """A lease as it is on S3. ``holder``: None if the object is damaged."""

    holder: Holder | None
    version: Versioned

    @property
    def left_s(self) -> float:
        """Seconds until it expires, unless it is renewed."""
        return (self.holder.ttl_s if self.holder else TTL_S) - self.version.age_s

    def __str__(self) -> str:
        if self.holder is None:
            return "a process that its lease does not name"
        process = self.holder.process
        until = (datetime.now(UTC) + timedelta(seconds=self.left_s)).strftime(_TIME)
        ends = f"ends at {until} unless it is renewed" if self.left_s > 0 else f"ended at {until}"
        who = f"{process.user}@{process.host} (process {process.pid})"
        return f"{who}, {self.holder.work}, since {self.holder.since}; its lease {ends}"


class RunInProgress(TransientError):
    """Another process runs the pipeline, or has taken over its lease."""


def lease_uri(bucket: str, pipeline: str) -> str:
    """Where the lease of a pipeline is."""
    return f"s3://{bucket}/{pipeline}/lease.json"


def find_lease(store: ObjectStore, uri: str) -> Found | None:
    """The lease at ``uri``, expired or not; None if no process has it."""
    try:
        version = store.read_versioned(uri)
    except NotFound:
        return None
    return Found(Holder.from_json(version.body), version)


def unlock(store: ObjectStore, uri: str) -> Found | None:
    """Remove the lease, whichever process has it. Returns the lease that was removed; None if there was none."""
    while (found := find_lease(store, uri)) is not None:
        if store.delete(uri, found.version.etag):
            return found
    return None


class Lease:
    """A lease that this process has. Used by one thread, and renewed in another one."""

    def __init__(
        self, store: ObjectStore, uri: str, holder: Holder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._uri, self._holder, self._clock = store, uri, holder, clock
        self._etag = ""
        self._valid_until_s = 0.0
        self._lost = ""
        self._stopping = threading.Event()
        self._busy = threading.Lock()

    def acquire(self) -> None:
        """Take the lease if it is free or expired. Raises RunInProgress if another process has it."""
        for _ in range(_ATTEMPTS):
            started_s = self._clock()
            found = find_lease(self._store, self._uri)
            if found is not None and not self._is_mine(found) and not _is_over(found):
                raise RunInProgress(
                    f"a run of this pipeline is in progress: {found}. Wait until it has ended; if that process does not exist "
                    "any more, remove its lease with `snowsage runs PIPELINE --unlock`",
                    retry_after_s=max(found.left_s, 1.0),
                )
            if self._write(found.version.etag if found else None, started_s):
                return
        raise RunInProgress("other processes start and end runs of this pipeline all the time; try again later")

    def renew(self) -> None:
        """Extend the lease. If another process has it, the next :meth:`check` raises."""
        with self._busy:
            if self._lost or self._stopping.is_set():
                return
            started_s = self._clock()
            if self._write(self._etag, started_s):
                return
            found = find_lease(self._store, self._uri)
            if found is not None and self._is_mine(found):  # the response to an earlier renewal was lost
                self._etag, self._valid_until_s = (
                    found.version.etag,
                    started_s + self._holder.ttl_s - found.version.age_s,
                )
            else:
                self._lost = (
                    f"the lease was taken over: {found}" if found else "the lease was removed (`runs --unlock`)"
                )

    def check(self) -> None:
        """Raise RunInProgress if the lease is another process's, or could not be renewed in time."""
        if not self._lost and self._clock() >= self._valid_until_s:
            self._lost = f"the lease could not be renewed for {self._holder.ttl_s:.0f} s"
        if self._lost:
            raise RunInProgress(f"{self._lost}. This process stops; start the command again to continue")

    def keep_renewing(self, every_s: float) -> None:
        """Renew until :meth:`release`. A renewal that fails is repeated: the lease lasts for several of them."""
        while not self._stopping.wait(every_s):
            try:
                self.renew()
            except SnowsageError:
                continue

    def release(self) -> None:
        """Remove the lease, if this process still has it."""
        self._stopping.set()
        with self._busy:
            if not self._lost:
                self._store.delete(self._uri, self._etag)

    def _write(self, etag: str | None, started_s: float) -> bool:
        """Write the lease over the version ``etag``, or create it; False if another request came first."""
        written = self._store.replace(self._uri, self._holder.to_json(), etag)
        if written is None:
            return False
        self._etag, self._valid_until_s = written, started_s + self._holder.ttl_s
        return True

    def _is_mine(self, found: Found) -> bool:
        return found.holder is not None and found.holder.token == self._holder.token


@contextmanager
def held(store: ObjectStore, uri: str, work: str, renew_s: float = RENEW_S) -> Iterator[Lease]:
    """The lease at ``uri`` for the time of the context. Raises RunInProgress if another process has it."""
    lease = Lease(store, uri, Holder(uuid.uuid4().hex, work, this_process(), datetime.now(UTC).strftime(_TIME), TTL_S))
    lease.acquire()
    renewing = threading.Thread(target=lease.keep_renewing, args=(renew_s,), name="lease", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        # The work is done, or has failed for a reason of its own; a lease that cannot be removed expires.
        with suppress(SnowsageError):
            lease.release()
        renewing.join()


def this_process() -> Process:
    """The running process."""
    pid = os.getpid()
    return Process(_user(), socket.gethostname(), _machine(), pid, _started(pid))


def _is_over(found: Found) -> bool:
    return found.left_s <= 0 or (found.holder is not None and _has_ended(found.holder.process))


def _has_ended(process: Process) -> bool:
    """Whether this is the process's machine, and the process is not there any more."""
    machine = _machine()
    return bool(machine) and process.machine == machine and _started(process.pid) != process.started


def _machine() -> str:
    """Identifies a start of the operating system and a namespace of process ids; empty on systems without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process started, in the kernel's ticks; empty if it does not exist or has ended."""
    try:
        # The second field, the program's name, may hold blanks and parentheses. The first field after it is the state.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a user id without a name
        return str(os.getuid())
