"""The pace at which rejected bodies are received: a burst at once, then so many a second, and no wait longer than its bound."""

from __future__ import annotations

import pytest

from app.serve.http.load_shedding import DISCARDS_A_SECOND, LONGEST_WAIT_S, DiscardPace

from .fakes import Clock


def test_a_burst_does_not_wait_and_a_flood_is_spread_over_time() -> None:
    pace = DiscardPace(Clock())
    waits = [pace.wait_s() for _ in range(DISCARDS_A_SECOND // 2)]
    at_once = waits.count(0.0)
    assert 10 <= at_once <= DISCARDS_A_SECOND // 5
    assert waits[at_once:] == pytest.approx(
        [number / DISCARDS_A_SECOND for number in range(1, len(waits) - at_once + 1)], abs=1.01 / DISCARDS_A_SECOND
    )


def test_no_body_waits_longer_than_its_sender_was_told_to_wait() -> None:
    clock = Clock()
    pace = DiscardPace(clock)
    told: list[float] = []
    waits: list[float] = []
    for _ in range(10 * DISCARDS_A_SECOND):
        told.append(pace.told_s())
        waits.append(pace.wait_s())
        clock.now_s += 0.1 / DISCARDS_A_SECOND
    assert all(least >= wait for least, wait in zip(told, waits, strict=True))
    assert (told[0], max(told)) == (0, LONGEST_WAIT_S)
    assert max(waits) == pytest.approx(LONGEST_WAIT_S)


def test_rejections_below_the_pace_never_wait() -> None:
    clock = Clock()
    pace = DiscardPace(clock)
    for _ in range(3 * DISCARDS_A_SECOND):
        assert pace.wait_s() == 0
        clock.now_s += 1.01 / DISCARDS_A_SECOND


def test_after_a_pause_a_burst_does_not_wait_again() -> None:
    clock = Clock()
    pace = DiscardPace(clock)
    while pace.wait_s() < LONGEST_WAIT_S / 2:
        pass
    clock.now_s += 2 * LONGEST_WAIT_S
    assert pace.wait_s() == 0
