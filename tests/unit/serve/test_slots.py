"""Slots: a caller waits at most until the deadline, which can be extended meanwhile, and a slot is freed when its thread ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from app.errors import TransientError
from app.serve.admission.slots import BodyTimeout, Slots
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.settings import ServeSettings

from .fakes import BUCKET


def slots(threads: int = 2) -> Slots:
    return Slots(ServeSettings(bucket=BUCKET, secrets=("x",), scorer_threads=threads), computing_threads=1)


def request(seconds: float) -> PredictionRequest:
    return PredictionRequest("churn", {}, Deadline.after(seconds))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_work_within_the_deadline_returns_its_result_and_frees_the_slot() -> None:
    async def test() -> None:
        every = slots()
        async with every.slot(request(30), "churn", "ann") as slot:
            assert await slot.run(lambda: 7, computing=False) == 7
        assert every.queue.running == 0

    run(test())


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_late_work_raises_at_the_deadline_and_keeps_the_slot_until_the_thread_ends(seconds: float) -> None:
    async def test() -> None:
        every, go_on = slots(), threading.Event()
        late = request(30)
        async with every.slot(late, "churn", "ann") as slot:
            late.deadline = Deadline.after(seconds)
            with pytest.raises(TransientError, match="within the time"):
                await slot.run(lambda: go_on.wait(30), computing=False)
        assert every.queue.running == (1 if seconds else every.queue.running)
        go_on.set()
        while every.queue.running:
            await asyncio.sleep(0)

    run(test())


def test_a_deadline_may_be_extended_while_the_work_runs() -> None:
    async def test() -> None:
        every, go_on = slots(), threading.Event()
        extended, left_s = request(30), [0.01, 30.0]

        class Extended(Deadline):
            """Almost expired at the first check, extended at the second."""

            @property
            def remaining_s(self) -> float:
                if len(left_s) == 1:
                    go_on.set()  # only after the first deadline
                    return left_s[0]
                return left_s.pop(0)

        async with every.slot(extended, "churn", "ann") as slot:
            extended.deadline = Extended(0.0)
            assert await slot.run(lambda: go_on.wait(30), computing=False)

    run(test())


def test_an_error_of_the_work_is_raised() -> None:
    async def test() -> None:
        def fail() -> None:
            raise LookupError("no")

        every = slots()
        with pytest.raises(LookupError):
            async with every.slot(request(30), "churn", "ann") as slot:
                await slot.run(fail, computing=True)
        assert every.queue.running == 0

    run(test())


def test_cancellation_drops_work_that_waits_for_a_thread() -> None:
    async def test() -> None:
        every, go_on, ran = slots(threads=1), threading.Event(), threading.Event()
        every.submit(lambda: go_on.wait(30), computing=False)

        async def ask() -> None:
            async with every.slot(request(30), "churn", "ann") as slot:
                await slot.run(ran.set, computing=False)

        asking = asyncio.create_task(ask())
        while not every.queue.running:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        assert every.submit(lambda: True, computing=False).result(30)
        assert not ran.is_set()
        while every.queue.running:
            await asyncio.sleep(0)

    run(test())


def test_a_body_that_does_not_arrive_in_time_is_an_error() -> None:
    async def test() -> None:
        every = slots()

        async def body(arrives: asyncio.Event) -> bytes:
            await arrives.wait()
            return b"body"

        here = asyncio.Event()
        here.set()
        async with every.slot(request(30), "churn", "ann") as slot:
            assert await slot.read(body(here), 30) == b"body"
            with pytest.raises(BodyTimeout, match="did not arrive within"):
                await slot.read(body(asyncio.Event()), 0.01)

    run(test())
