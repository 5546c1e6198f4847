"""The gate: who asks -> a place now, a place in a bounded queue, or a refusal; and whose turn it is when a place is free.

A place is a thread. No model and no caller gets more than its share of the places, nor of the queue, so that what hangs or
floods leaves room for the others; among those that wait, each pair of model and caller has its turn after the other. Who would
wait in vain is refused at once: predicted from how long requests of the model took so far.

The one surprise: a request waits before its body is read. So the queue holds no bodies, and a sender is held back by TCP.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.errors import Overloaded
from app.serve.admission.concurrency_limit import Limit
from app.serve.deadline import Deadline

_LONGEST_RETRY_AFTER_S = 10.0
_SERVICE_SMOOTHING = 0.1


@dataclass(frozen=True)
class Room:
    """How much there is to give out. ``places``: threads; ``least``: below which latency does not push a model's limit;
    ``queue``: requests that may wait; ``wait_s``: for how long; shares: of places and queue, 0 to 1."""

    places: int
    least: int
    queue: int
    wait_s: float
    model_share: float
    caller_share: float


@dataclass(slots=True)
class Lane:
    """A model's part. ``service_s``: what a request takes, without waiting, on average."""

    limit: Limit
    running: int = 0
    waiting: int = 0
    service_s: float = 0.0


@dataclass(slots=True)
class _Caller:
    running: int = 0
    waiting: int = 0


@dataclass(slots=True, eq=False)
class Ticket:
    """A request at the gate. ``wake`` is called when its turn comes; it may wait for ``wait_s`` seconds."""

    model: str
    caller: str
    admitted: bool
    wait_s: float = 0.0
    wake: Callable[[], None] = field(default=lambda: None)


class Gate:
    """Gives out the places. Not safe in several threads: the event loop's own."""

    def __init__(self, room: Room, clock: Callable[[], float] = time.monotonic) -> None:
        self._room, self._clock = room, clock
        self._model_places = _share(room.places, room.model_share)
        self._caller_places = _share(room.places, room.caller_share)
        self._model_queue = _share(room.queue, room.model_share)
        self._caller_queue = _share(room.queue, room.caller_share)
        self._callers: dict[str, _Caller] = {}
        self._flows: OrderedDict[tuple[str, str], deque[Ticket]] = OrderedDict()
        self.lanes: dict[str, Lane] = {}
        self.running = self.waiting = 0
        self.shed: Counter[tuple[str, str]] = Counter()  # (model, reason) -> requests refused

    def ask(self, model: str, caller: str, deadline: Deadline) -> Ticket:
        """A ticket, admitted or waiting for its turn. Overloaded where it would wait in vain or there is no room to wait.

        Each ticket is given back by one call of ``leave``, or of ``give_up`` while it waits.
        """
        lane = self._lane(model)
        who = self._callers.get(caller)
        if who is None:
            who = self._callers[caller] = _Caller()
        if self._fits(lane, who):
            return self._let_in(Ticket(model, caller, admitted=True), lane, who)
        patience_s = self._patience_s(lane, deadline.remaining_s)
        if refusal := self._refused(model, lane, who, patience_s):
            self._forget(caller, who)
            raise refusal
        ticket = Ticket(model, caller, admitted=False, wait_s=patience_s)
        self._flows.setdefault((model, caller), deque()).append(ticket)
        self._count_waiting(lane, who, 1)
        return ticket

    def refusal(self, model: str, caller: str, remaining_s: float) -> Overloaded | None:
        """What ``ask`` would raise for a request with ``remaining_s`` seconds, and counted like it; None where it would not."""
        lane, who = self._lane(model), self._callers.get(caller) or _Caller()
        if self._fits(lane, who):
            return None
        return self._refused(model, lane, who, self._patience_s(lane, remaining_s))

    def leave(self, ticket: Ticket, seconds: float | None = None, rows: int = 0, *, throttled: bool = False) -> None:
        """Give an admitted ticket's place back. ``seconds``: what the work took; None where it failed, which proves nothing."""
        lane, who = self.lanes[ticket.model], self._callers[ticket.caller]
        if seconds is not None:
            weight = _SERVICE_SMOOTHING if lane.service_s else 1.0
            lane.service_s += weight * (seconds - lane.service_s)
            lane.limit.answered(seconds, rows, lane.running)
        elif throttled:
            lane.limit.throttled()
        self.running -= 1
        lane.running -= 1
        who.running -= 1
        self._forget(ticket.caller, who)
        if self.waiting:
            self._call_up()

    def give_up(self, ticket: Ticket) -> Overloaded:
        """Take a ticket that waits out of the queue; the refusal to raise."""
        flow = self._flows[ticket.model, ticket.caller]
        flow.remove(ticket)
        if not flow:
            del self._flows[ticket.model, ticket.caller]
        lane, who = self.lanes[ticket.model], self._callers[ticket.caller]
        self._count_waiting(lane, who, -1)
        self._forget(ticket.caller, who)
        return self._refusal(ticket.model, "waited", lane.service_s)

    def _call_up(self) -> None:
        while (key := self._whose_turn()) is not None:
            flow = self._flows[key]
            ticket = flow.popleft()
            if flow:
                self._flows.move_to_end(key)
            else:
                del self._flows[key]
            lane, who = self.lanes[ticket.model], self._callers[ticket.caller]
            self._count_waiting(lane, who, -1)
            self._let_in(ticket, lane, who).wake()

    def _whose_turn(self) -> tuple[str, str] | None:
        if self.running >= self._room.places:
            return None
        fitting = (key for key in self._flows if self._fits(self.lanes[key[0]], self._callers[key[1]]))
        return next(fitting, None)

    def _let_in(self, ticket: Ticket, lane: Lane, who: _Caller) -> Ticket:
        self.running += 1
        lane.running += 1
        who.running += 1
        ticket.admitted = True
        return ticket

    def _fits(self, lane: Lane, who: _Caller) -> bool:
        return (
            self.running < self._room.places and lane.running < lane.limit.value and who.running < self._caller_places
        )

    def _turns_ahead(self, lane: Lane, who: _Caller) -> float:
        return max(
            (lane.waiting + 1) / lane.limit.value,
            (who.waiting + 1) / self._caller_places,
            (self.waiting + 1) / self._room.places,
        )

    def _patience_s(self, lane: Lane, remaining_s: float) -> float:
        return min(self._room.wait_s, remaining_s - lane.service_s)

    def _refused(self, model: str, lane: Lane, who: _Caller, patience_s: float) -> Overloaded | None:
        ahead_s = self._turns_ahead(lane, who) * lane.service_s
        reason = self._reason(lane, who, ahead_s, patience_s)
        return self._refusal(model, reason, ahead_s) if reason else None

    def _reason(self, lane: Lane, who: _Caller, ahead_s: float, patience_s: float) -> str | None:
        """Why to refuse: the queue is full, the model's or the caller's share of it is, or the wait would be too long."""
        if self.waiting >= self._room.queue:
            return "queue"
        if lane.waiting >= self._model_queue:
            return "model"
        if who.waiting >= self._caller_queue:
            return "caller"
        return "wait" if ahead_s > patience_s or patience_s <= 0 else None

    def _refusal(self, model: str, reason: str, ahead_s: float) -> Overloaded:
        self.shed[model, reason] += 1
        return Overloaded(
            "the service has more requests than it can answer in time; send fewer at a time, or again in a moment",
            retry_after_s=max(1, math.ceil(min(ahead_s, _LONGEST_RETRY_AFTER_S))),
        )

    def _count_waiting(self, lane: Lane, who: _Caller, change: int) -> None:
        self.waiting += change
        lane.waiting += change
        who.waiting += change

    def _lane(self, model: str) -> Lane:
        lane = self.lanes.get(model)
        if lane is None:
            lane = self.lanes[model] = Lane(Limit(self._room.least, self._model_places, self._clock))
        return lane

    def _forget(self, caller: str, who: _Caller) -> None:
        if not who.running and not who.waiting:
            self._callers.pop(caller, None)


def _share(whole: int, share: float) -> int:
    """A share of ``whole``, at least 1; one is left for the others wherever the share is not all of it."""
    return whole if share >= 1 else max(1, min(whole - 1, math.ceil(whole * share)))
