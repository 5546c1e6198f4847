"""Many deadlines by one timer: who is late is interrupted, who is not never notices, another's cancelling passes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from app.serve.admission.watchdog import Watchdog


class Late(Exception):
    """What the watched code makes of an interruption."""


async def watched(watchdog: Watchdog, work: Awaitable[None], seconds: float) -> str:
    task = asyncio.current_task()
    assert task is not None
    watchdog.watch(task, seconds)
    try:
        await work
    except asyncio.CancelledError:
        if watchdog.release(task):
            raise Late from None
        raise
    finally:
        watchdog.release(task)
    await asyncio.sleep(0)  # nothing is left that would interrupt what follows
    return "done"


def test_only_who_is_late_is_interrupted() -> None:
    async def run() -> None:
        watchdog, never = Watchdog(), asyncio.Event()
        ends = await asyncio.gather(
            *(watched(watchdog, asyncio.sleep(0.001 * number), 20) for number in range(50)),
            *(watched(watchdog, never.wait(), 0.01 * number) for number in range(5)),  # type: ignore[arg-type]
            return_exceptions=True,
        )
        assert ends[:50] == ["done"] * 50
        assert [type(end) for end in ends[50:]] == [Late] * 5
        assert (watchdog._until, watchdog._interrupted) == ({}, set())

    asyncio.run(run())


def test_cancelling_by_others_passes_through() -> None:
    async def run() -> None:
        watchdog, never = Watchdog(), asyncio.Event()
        task = asyncio.create_task(watched(watchdog, never.wait(), 20))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        both = asyncio.create_task(watched(watchdog, never.wait(), 0.0))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        watchdog._look(asyncio.get_running_loop())
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        assert (watchdog._until, watchdog._interrupted) == ({}, set())

    asyncio.run(run())
