"""The lease of a pipeline: taken, renewed, refused, taken over and removed, with a clock of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.errors import TransientError
from app.runs.lease import (
    TTL_S,
    Found,
    Holder,
    Lease,
    RunInProgress,
    find_lease,
    held,
    lease_uri,
    this_process,
    unlock,
)
from tests.support.fakes import FakeStore

URI = lease_uri("lake", "churn")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Machines:
    """A store and leases of processes on different machines, which no process can look into."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FakeStore(clock=self.clock)

    def lease(self, name: str, store: FakeStore | None = None) -> Lease:
        process = replace(this_process(), user=name, host=f"{name}-laptop", machine=f"{name}'s machine", pid=4711)
        holder = Holder(name, "run 19980701-0a1b2c3d, features to monitor", process, "2026-01-02 03:04:05 UTC", TTL_S)
        return Lease(store or self.store, URI, holder, self.clock)


@pytest.fixture
def machines() -> Machines:
    return Machines()


def test_the_second_process_is_told_who_has_the_lease_since_when_and_until_when(machines: Machines) -> None:
    machines.lease("ana").acquire()
    with pytest.raises(RunInProgress) as refused:
        machines.lease("ben").acquire()
    said = str(refused.value)
    for part in (
        "ana@ana-laptop (process 4711), run 19980701-0a1b2c3d, features to monitor, since 2026-01-02 03:04:05 UTC",
        "its lease ends at ",
        "unless it is renewed",
        "`snowsage runs PIPELINE --unlock`",
    ):
        assert part in said
    assert refused.value.retry_after_s == TTL_S
    assert isinstance(refused.value, TransientError), "exit code 75: the same command may succeed later"


def test_a_released_lease_is_free(machines: Machines) -> None:
    first = machines.lease("ana")
    first.acquire()
    first.release()
    assert machines.store.objects == {}
    machines.lease("ben").acquire()


def test_a_renewed_lease_lasts(machines: Machines) -> None:
    first = machines.lease("ana")
    first.acquire()
    for _ in range(10):
        machines.clock.now_s += TTL_S - 1
        first.check()
        first.renew()
    with pytest.raises(RunInProgress):
        machines.lease("ben").acquire()


def test_an_expired_lease_is_taken_over_and_its_process_stops(machines: Machines) -> None:
    first, second = machines.lease("ana"), machines.lease("ben")
    first.acquire()
    machines.clock.now_s += TTL_S
    second.acquire()
    with pytest.raises(RunInProgress, match="could not be renewed for 120 s"):
        first.check()
    late = machines.lease("cleo")
    with pytest.raises(RunInProgress, match="ben@"):
        late.acquire()


def test_a_renewal_notices_a_takeover(machines: Machines) -> None:
    first, second = machines.lease("ana"), machines.lease("ben")
    first.acquire()
    unlock(machines.store, URI)
    second.acquire()
    first.check()  # it cannot know yet
    first.renew()
    with pytest.raises(
        RunInProgress, match=r"the lease was taken over: ben@.* This process stops; start the command again"
    ):
        first.check()
    first.release()
    second.renew()
    second.check()


def test_a_renewal_notices_that_the_lease_was_removed(machines: Machines) -> None:
    first = machines.lease("ana")
    first.acquire()
    removed = unlock(machines.store, URI)
    assert removed is not None
    assert removed.holder is not None
    assert removed.holder.process.user == "ana"
    assert unlock(machines.store, URI) is None
    first.renew()
    with pytest.raises(RunInProgress, match="the lease was removed"):
        first.check()


class LosesResponses(FakeStore):
    """A store that writes, and whose response never arrives: the client's second attempt finds its own write."""

    def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
        super().replace(uri, body, etag)
        return super().replace(uri, body, etag)


def test_a_lost_response_to_a_write_does_not_lose_the_lease(machines: Machines) -> None:
    store = LosesResponses(clock=machines.clock)
    lease = machines.lease("ana", store)
    with pytest.raises(RunInProgress, match="try again later"):
        lease.acquire()  # every response is lost, for good
    found = find_lease(store, URI)
    assert found is not None
    assert found.holder is not None
    assert found.holder.process.user == "ana"
    lease.renew()
    machines.clock.now_s += TTL_S - 1
    lease.check()
    lease.release()
    assert store.objects == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"token": 1}', b'{"process": null}', b"\xff"])
def test_a_damaged_lease_is_respected_until_it_expires(machines: Machines, body: bytes) -> None:
    machines.store.write(URI, body)
    with pytest.raises(RunInProgress, match="a process that its lease does not name"):
        machines.lease("ana").acquire()
    machines.clock.now_s += TTL_S
    machines.lease("ana").acquire()


def test_a_holder_is_unchanged_by_a_round_trip() -> None:
    holder = Holder("t", "run x", this_process(), "now", 1.5)
    assert Holder.from_json(holder.to_json()) == holder
    assert json.loads(holder.to_json()) == asdict(holder)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not show its processes")
def test_the_lease_of_a_dead_process_on_this_machine_is_taken_over_at_once(machines: Machines) -> None:
    code = (
        "import sys; from app.runs.lease import *; from app.runs.lease import this_process\n"
        "sys.stdout.buffer.write(Holder('t', 'run x', this_process(), 'now', 120.0).to_json())\n"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    body = b""
    while not body.endswith(b"\n}"):
        body += process.stdout.read(1)
    machines.store.write(URI, body)
    try:
        with pytest.raises(RunInProgress, match=f"process {process.pid}"):
            machines.lease("ana").acquire()
    finally:
        process.kill()
        process.communicate()
    machines.lease("ana").acquire()


def test_of_many_threads_one_gets_the_lease() -> None:
    class Guarded(FakeStore):
        guard = threading.Lock()

        def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
            with self.guard:
                return super().replace(uri, body, etag)

    store, got = Guarded(), []

    def attempt(number: int) -> None:
        try:
            Lease(store, URI, Holder(str(number), "x", this_process(), "now", TTL_S)).acquire()
        except RunInProgress:
            return
        got.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_the_lease_ends_with_its_context_also_after_an_error() -> None:
    store = FakeStore()

    def fail(found: Found | None) -> None:
        assert found is not None
        assert found.holder is not None
        assert found.holder.process == this_process()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), held(store, URI, "run x"):
        fail(find_lease(store, URI))
    assert store.objects == {}
    assert "lease" not in {thread.name for thread in threading.enumerate()}
