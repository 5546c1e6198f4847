"""The version that scores a call before, at and after a switch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.deploy.live import LiveVersion
from app.serve.models.live_models import LiveModels
from app.serve.models.version_switch import QUERIES_KEPT, VersionSwitch

from .fakes import BUCKET, MemoryStore, live_version

ONE = live_version(version="1.0")
TWO = replace(live_version(version="2.0"), live_from_s=100.0, last_until_s=160.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answers(track: VersionSwitch, *queries: str) -> list[str]:
    return [track.version_for(query).version for query in queries]


def offered(clock: Clock, *records: LiveVersion, kept: int = QUERIES_KEPT) -> VersionSwitch:
    made = VersionSwitch(records[0], clock, kept)
    for record in records[1:]:
        made.update(record)
    return made


def test_all_replicas_switch_at_the_time_in_the_record() -> None:
    clock = Clock()
    early, late = offered(clock, ONE, TWO), offered(clock, ONE)
    clock.now = 99.9
    late.update(TWO)
    assert [item.live().version for item in (early, late)] == ["1.0", "1.0"]
    assert [item.newest().version for item in (early, late)] == ["2.0", "2.0"]
    clock.now = 100.0
    assert [item.live().version for item in (early, late)] == ["2.0", "2.0"]


def test_a_query_keeps_its_first_version_until_the_grace_period_ends() -> None:
    clock = Clock()
    served = offered(clock, ONE, TWO)
    assert answers(served, "begun", "") == ["1.0", "1.0"]
    clock.now = 100.0
    assert answers(served, "begun", "new", "", "begun") == ["1.0", "2.0", "2.0", "1.0"]
    clock.now = 159.9
    assert answers(served, "begun", "new") == ["1.0", "2.0"]
    clock.now = 160.0
    assert answers(served, "begun", "new") == ["2.0", "2.0"]


def test_a_replica_that_reads_the_record_late_keeps_the_version_of_its_queries() -> None:
    clock = Clock()
    served = offered(clock, ONE)
    answers(served, "begun")
    clock.now = 130.0
    served.update(TWO)
    assert answers(served, "begun", "new") == ["1.0", "2.0"]


def test_a_second_switch_keeps_only_the_previous_version() -> None:
    clock = Clock()
    served = offered(clock, ONE, TWO)
    answers(served, "first")
    clock.now = 110.0
    answers(served, "second")
    served.update(replace(live_version(version="3.0"), live_from_s=0.0, last_until_s=200.0))
    assert answers(served, "first", "second", "third") == ["3.0", "2.0", "3.0"]


def test_a_record_withdrawn_before_its_time_is_never_used() -> None:
    clock = Clock()
    served = offered(clock, ONE, TWO, ONE)
    clock.now = 101.0
    assert answers(served, "", "any") == ["1.0", "1.0"]


def test_the_number_of_remembered_queries_is_bounded() -> None:
    clock = Clock()
    served = offered(clock, ONE, TWO, kept=3)
    answers(served, *"abcd", "b")
    clock.now = 100.0
    assert answers(served, *"dcb") == ["1.0"] * 3
    assert answers(served, "a") == ["2.0"]


def versions(models: Iterable[LiveVersion]) -> set[str]:
    return {live.version for live in models}


def test_records_are_read_again_without_a_refresh() -> None:
    clock, store = Clock(), MemoryStore(ONE)
    models = LiveModels(store, BUCKET, now=clock)
    models.load()
    store.put(TWO)
    models.watch()
    assert versions(models.all()) == {"1.0"}
    clock.now = 100.0
    assert versions(models.all()) == {"2.0"}
    store.objects.clear()
    models.watch()
    assert not models.knows("churn")
