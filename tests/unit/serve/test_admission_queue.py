"""The admission queue: slots and queue are bounded and fairly shared; requests that cannot start in time are rejected at once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.errors import Overloaded
from app.serve.admission.queue import AdmissionQueue, Capacity, Ticket
from app.serve.deadline import Deadline
from tests.unit.serve.fakes import status_of

from .fakes import Clock


def gate_of(clock: Clock, **changes: Any) -> AdmissionQueue:
    room = {"slots": 4, "min_limit": 4, "queue": 8, "wait_s": 1.0, "model_share": 1.0, "caller_share": 1.0}
    return AdmissionQueue(Capacity(**{**room, **changes}), clock)


def ask(
    gate: AdmissionQueue, clock: Clock, model: str = "churn", caller: str = "ann", budget_s: float = 27.0
) -> Ticket:
    return gate.enter(model, caller, Deadline.after(budget_s, clock))


def refusal(
    gate: AdmissionQueue, clock: Clock, model: str = "churn", caller: str = "ann", budget_s: float = 27.0
) -> str:
    """Why a request is rejected: the check of its headers and the request for a slot must agree."""
    before = gate.shed.copy()
    looked = gate.rejection(model, caller, budget_s)
    assert looked is not None
    ((_, seen),) = (gate.shed - before).keys()
    before = gate.shed.copy()
    with pytest.raises(Overloaded) as caught:
        ask(gate, clock, model, caller, budget_s=budget_s)
    assert (str(looked), looked.retry_after_s) == (str(caught.value), caught.value.retry_after_s)
    assert status_of(caught.value) == 429
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    ((_, reason),) = (gate.shed - before).keys()
    assert seen == reason
    return reason


def test_announced_requests_take_room_in_the_queue_until_they_enter() -> None:
    clock = Clock()
    gate = gate_of(clock)
    running = [ask(gate, clock) for _ in range(4)]
    entering = []
    for _ in range(8):
        assert gate.rejection("churn", "ann", 27.0) is None
        entering.append(gate.announce("churn", "ann"))
    assert gate.rejection("churn", "bob", 27.0) is not None
    gate.leave(running.pop())  # no announced request is woken: none has a ticket
    for end in entering:
        end()
    assert (gate.running, gate.waiting) == (3, 0)
    assert [ask(gate, clock).admitted for _ in range(9)] == [True] + [False] * 8
    assert refusal(gate, clock) == "queue"


def test_an_announced_request_that_never_enters_leaves_nothing_behind() -> None:
    clock = Clock()
    gate = gate_of(clock, caller_share=0.5)
    gate.announce("churn", "ann")()
    assert gate.waiting == 0
    assert [ask(gate, clock).admitted for _ in range(3)] == [True, True, False]


def test_requests_take_slots_then_queue_in_order_then_are_rejected() -> None:
    clock = Clock()
    gate = gate_of(clock)
    running = [ask(gate, clock) for _ in range(4)]
    waiting = [ask(gate, clock) for _ in range(8)]
    assert [ticket.admitted for ticket in (*running, *waiting)] == [True] * 4 + [False] * 8
    assert (gate.running, gate.waiting) == (4, 8)
    assert refusal(gate, clock) == "queue"
    woken: list[int] = []
    for number, ticket in enumerate(waiting):
        ticket.wake = lambda number=number: woken.append(number)  # type: ignore[misc]
    for ticket in running:
        gate.leave(ticket, 0.1, 1)
    assert woken == [0, 1, 2, 3]
    assert (gate.running, gate.waiting) == (4, 4)


def test_requests_that_would_wait_too_long_are_rejected_at_once() -> None:
    clock = Clock()
    gate = gate_of(clock)
    gate.leave(ask(gate, clock), 0.6, 1)  # a request takes 0.6 s, four at a time
    for _ in range(4):
        ask(gate, clock)
    waiting = [ask(gate, clock) for _ in range(6)]  # the sixth waits for 0.9 s
    assert [ticket.wait_s for ticket in waiting] == [1.0] * 6
    assert refusal(gate, clock) == "wait"


@pytest.mark.parametrize(("budget_s", "admitted"), [(0.0, False), (0.5, False), (0.7, False), (0.76, True)])
def test_requests_that_cannot_finish_before_their_deadline_are_rejected(budget_s: float, admitted: bool) -> None:
    clock = Clock()
    gate = gate_of(clock)
    gate.leave(ask(gate, clock), 0.6, 1)
    for _ in range(4):
        ask(gate, clock)
    # The queue advances every 0.6 / 4 s; then the work itself takes 0.6 s.
    if admitted:
        assert ask(gate, clock, budget_s=budget_s).wait_s == pytest.approx(budget_s - 0.6)
    else:
        assert refusal(gate, clock, budget_s=budget_s) == "wait"


def test_retry_after_is_the_time_to_drain_the_queue() -> None:
    clock = Clock()
    gate = gate_of(clock, wait_s=100.0)
    gate.leave(ask(gate, clock), 2.0, 1)
    for _ in range(12):
        ask(gate, clock)
    with pytest.raises(Overloaded) as caught:
        ask(gate, clock)
    assert caught.value.retry_after_s == 5  # nine requests of 2 s, four at a time
    with pytest.raises(Overloaded) as caught:
        ask(gate_with_long_service(clock), clock)
    assert caught.value.retry_after_s == 10


def gate_with_long_service(clock: Clock) -> AdmissionQueue:
    gate = gate_of(clock, slots=1, min_limit=1)
    gate.leave(ask(gate, clock), 25.0, 1)
    ask(gate, clock)
    return gate


@pytest.mark.parametrize("which", ["model", "caller"])
def test_one_model_or_caller_cannot_take_all_slots(which: str) -> None:
    clock = Clock()
    gate = gate_of(clock, **{f"{which}_share": 0.75})
    mine, other = (("churn", "ann"), ("fraud", "ann")) if which == "model" else (("churn", "ann"), ("churn", "bob"))
    flood = [ask(gate, clock, *mine) for _ in range(9)]
    assert sum(ticket.admitted for ticket in flood) == 3
    assert refusal(gate, clock, *mine) == which
    assert ask(gate, clock, *other).admitted


def test_a_share_leaves_at_least_one_slot() -> None:
    clock = Clock()
    for places, share, expected in ((1, 0.5, 1), (2, 0.75, 1), (3, 0.9, 2), (16, 0.75, 12), (4, 1.0, 4)):
        gate = gate_of(clock, slots=places, min_limit=places, queue=100, caller_share=share)
        assert sum(ask(gate, clock).admitted for _ in range(20)) == expected


def test_slots_are_given_in_turn_to_models_and_callers() -> None:
    clock = Clock()
    gate = gate_of(clock, slots=1, min_limit=1)
    first = ask(gate, clock)
    order: list[tuple[str, str]] = []
    tickets = {}
    for who in [("churn", "ann")] * 4 + [("churn", "bob"), ("fraud", "bob"), ("fraud", "bob")]:
        ticket = ask(gate, clock, *who)
        tickets[id(ticket)] = ticket
        ticket.wake = lambda ticket=ticket: order.append((ticket.model, ticket.caller)) or done.append(ticket)  # type: ignore[misc]
    done = [first]
    while done:
        gate.leave(done.pop(), 0.01, 1)
    ann, bob, fraud = ("churn", "ann"), ("churn", "bob"), ("fraud", "bob")
    assert order == [ann, bob, fraud, ann, fraud, ann, ann]


def test_a_cancelled_request_frees_its_place_in_the_queue() -> None:
    clock = Clock()
    gate = gate_of(clock, slots=1, min_limit=1)
    running = ask(gate, clock)
    waiting = [ask(gate, clock, "churn", name) for name in ("ann", "bob", "bob")]
    woken: list[str] = []
    waiting[2].wake = lambda: woken.append("last")
    for ticket in waiting[:2]:
        assert isinstance(gate.give_up(ticket), Overloaded)
    assert (gate.waiting, gate.shed["churn", "waited"]) == (1, 2)
    gate.leave(running)
    assert woken == ["last"]
    gate.leave(waiting[2])
    assert (gate.running, gate.waiting, gate._callers, gate._flows) == (0, 0, {}, {})


def test_counts_stay_consistent_in_random_sequences_of_events() -> None:
    chance = random.Random(11)
    clock = Clock()
    gate = gate_of(clock, min_limit=1, model_share=0.75, caller_share=0.5, wait_s=5.0)
    running: list[Ticket] = []
    waiting: list[Ticket] = []
    for _ in range(20_000):
        clock.now_s += chance.random() / 50
        what = chance.random()
        if what < 0.5:
            try:
                ticket = ask(gate, clock, chance.choice("ab"), chance.choice("xyz"))
            except Overloaded:
                continue
            ticket.wake = lambda ticket=ticket: (waiting.remove(ticket), running.append(ticket))  # type: ignore[misc]
            (running if ticket.admitted else waiting).append(ticket)
        elif what < 0.9 and running:
            ticket = running.pop(chance.randrange(len(running)))
            gate.leave(ticket, chance.choice((None, 0.01, 0.5)), 1, throttled=chance.random() < 0.1)
        elif waiting:
            gate.give_up(waiting.pop(chance.randrange(len(waiting))))
        assert (gate.running, gate.waiting) == (len(running), len(waiting))
        assert gate.running <= 4
        assert gate.waiting <= 8
        for model in "ab":
            assert sum(ticket.model == model for ticket in running) <= 3
        for caller in "xyz":
            assert sum(ticket.caller == caller for ticket in running) <= 2
    while running or waiting:
        gate.leave(running.pop(), 0.01, 1)
    assert (gate.running, gate.waiting, gate._callers, gate._flows) == (0, 0, {}, {})


def test_a_caller_never_takes_all_slots_of_a_model() -> None:
    clock = Clock()
    gate = gate_of(clock, slots=16, queue=128, model_share=0.75, caller_share=0.75)
    slow = [ask(gate, clock, caller="slow") for _ in range(40)]
    assert sum(ticket.admitted for ticket in slow) == 9  # three quarters of the model's 12
    others = [ask(gate, clock, caller="other") for _ in range(3)]
    assert all(ticket.admitted for ticket in others)
    assert ask(gate, clock, model="fraud", caller="other").admitted
    gate.leave(slow[0], seconds=0.1, rows=1)
    assert sum(ticket.admitted for ticket in slow[1:]) == 9


def test_a_caller_without_waiting_requests_does_not_wait_for_all_of_another() -> None:
    clock = Clock()
    gate = gate_of(clock, slots=4, queue=64, wait_s=2.0, caller_share=0.75)
    first = ask(gate, clock, caller="slow")
    gate.leave(first, seconds=1.0, rows=1)
    for _ in range(3):
        ask(gate, clock, caller="slow")
    ask(gate, clock, caller="other")
    waiting = [ask(gate, clock, caller="slow") for _ in range(5)]
    assert not any(ticket.admitted for ticket in waiting)
    assert not ask(gate, clock, caller="third").admitted, "it waits for its turn and is not rejected"
