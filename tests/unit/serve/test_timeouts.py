"""Many deadlines by one timer: who is late is interrupted, who is not never notices, another's cancelling passes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from app.serve.admission.timeouts import Watchdog
from app.serve.deadline import Deadline


class Late(Exception):
    """What the watched code makes of an interruption."""


async def watched(watchdog: Watchdog, work: Awaitable[object], seconds: float) -> str:
    deadline = Deadline.after(seconds)
    with watchdog.watching(lambda: deadline.remaining_s) as block:
        try:
            await work
        except asyncio.CancelledError:
            if block.interrupted():
                raise Late from None
            raise
    await asyncio.sleep(0)  # nothing is left that would interrupt what follows
    return "done"


def test_only_who_is_late_is_interrupted() -> None:
    async def run() -> None:
        watchdog, never = Watchdog(), asyncio.Event()
        ends = await asyncio.gather(
            *(watched(watchdog, asyncio.sleep(0.001 * number), 20) for number in range(50)),
            *(watched(watchdog, never.wait(), 0.01 * number) for number in range(5)),
            return_exceptions=True,
        )
        assert ends[:50] == ["done"] * 50
        assert [type(end) for end in ends[50:]] == [Late] * 5
        assert watchdog._watched == set()

    asyncio.run(run())


def test_a_deadline_may_be_put_off() -> None:
    async def run() -> None:
        watchdog, left_s = Watchdog(), [0.0]
        with watchdog.watching(lambda: left_s[0]):
            left_s[0] = 5.0
            watchdog.look()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_cancelling_by_others_passes_through() -> None:
    async def run() -> None:
        watchdog, never = Watchdog(), asyncio.Event()
        task = asyncio.create_task(watched(watchdog, never.wait(), 20))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        both = asyncio.create_task(watched(watchdog, never.wait(), 0.0))
        await asyncio.sleep(0)
        watchdog.look()
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        assert watchdog._watched == set()

    asyncio.run(run())
