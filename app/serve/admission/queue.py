"""The admission queue: a request gets a slot, waits in a bounded queue, or is rejected; and the order in which waiting requests
run.

A slot is a thread. No model and no caller gets more than its fraction of the slots or of the queue, and no caller more than its
fraction of what one model has. So a model that hangs leaves room for other models, and a caller that sends too much, or too slowly,
leaves room for other callers of the same model. Waiting requests are served round-robin over the pairs of model and caller.
Requests that cannot start before their deadline are rejected at once, predicted from the average duration of the model's
requests.

A request waits before its body is read, so the queue holds no bodies and TCP holds the sender back.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.errors import Overloaded
from app.serve.admission.concurrency_limit import ConcurrencyLimit
from app.serve.deadline import Deadline

_LONGEST_RETRY_AFTER_S = 10.0
_SERVICE_SMOOTHING = 0.1


@dataclass(frozen=True)
class Capacity:
    """The bounds. ``slots``: threads; ``min_limit``: the concurrency limit of a model never falls below it; ``queue``: requests
    that may wait; ``wait_s``: for how long; ``model_share``, ``caller_share``: fractions of slots and queue, 0 to 1."""

    slots: int
    min_limit: int
    queue: int
    wait_s: float
    model_share: float
    caller_share: float


@dataclass(slots=True)
class ModelLoad:
    """The load of one model. ``service_s``: average seconds of a request, without its wait."""

    limit: ConcurrencyLimit
    running: int = 0
    waiting: int = 0
    service_s: float = 0.0


@dataclass(slots=True)
class _CallerLoad:
    running: int = 0
    waiting: int = 0
    of_model: dict[str, int] = field(default_factory=dict)  # running, by model


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in the queue or with a slot. ``wake`` is called when it gets a slot; it may wait for ``wait_s`` seconds."""

    model: str
    caller: str
    admitted: bool
    wait_s: float = 0.0
    wake: Callable[[], None] = field(default=lambda: None)


class AdmissionQueue:
    """Hands out the slots. Not thread-safe: it belongs to one event loop."""

    def __init__(self, capacity: Capacity, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = capacity, clock
        self._model_slots = _part(capacity.slots, capacity.model_share)
        self._caller_slots = _part(capacity.slots, capacity.caller_share)
        self._model_queue = _part(capacity.queue, capacity.model_share)
        self._caller_queue = _part(capacity.queue, capacity.caller_share)
        self._callers: dict[str, _CallerLoad] = {}
        self._flows: OrderedDict[tuple[str, str], deque[Ticket]] = OrderedDict()
        self.models: dict[str, ModelLoad] = {}
        self.running = self.waiting = 0
        self.shed: Counter[tuple[str, str]] = Counter()  # (model, reason) -> rejected requests

    def enter(self, model: str, caller: str, deadline: Deadline) -> Ticket:
        """A ticket, admitted or waiting. Raises Overloaded if the request cannot start in time or the queue is full.

        Each ticket is returned by one call of ``leave``, or of ``give_up`` while it waits.
        """
        load = self._load(model)
        by_caller = self._callers.get(caller)
        if by_caller is None:
            by_caller = self._callers[caller] = _CallerLoad()
        if self._fits(model, load, by_caller):
            return self._admit(Ticket(model, caller, admitted=True), load, by_caller)
        allowed_s = self._allowed_wait_s(load, deadline.remaining_s)
        if rejection := self._rejected(model, load, by_caller, allowed_s):
            self._forget(caller, by_caller)
            raise rejection
        ticket = Ticket(model, caller, admitted=False, wait_s=allowed_s)
        self._flows.setdefault((model, caller), deque()).append(ticket)
        self._count_waiting(load, by_caller, 1)
        return ticket

    def rejection(self, model: str, caller: str, remaining_s: float) -> Overloaded | None:
        """What ``enter`` would raise for a request with ``remaining_s`` seconds left, counted as rejected; None if it would not."""
        load, by_caller = self._load(model), self._callers.get(caller) or _CallerLoad()
        if self._fits(model, load, by_caller):
            return None
        return self._rejected(model, load, by_caller, self._allowed_wait_s(load, remaining_s))

    def announce(self, model: str, caller: str) -> Callable[[], None]:
        """Count a request that will enter as waiting; returns the call that ends this, to be made before the request enters.

        Many requests may be looked at before the first of them enters, and there is room only for some.
        """
        load, by_caller = self._load(model), self._callers.setdefault(caller, _CallerLoad())
        self._count_waiting(load, by_caller, 1)

        def end() -> None:
            self._count_waiting(load, by_caller, -1)
            self._forget(caller, by_caller)

        return end

    def leave(self, ticket: Ticket, seconds: float | None = None, rows: int = 0, *, throttled: bool = False) -> None:
        """Return an admitted ticket's slot. ``seconds``: how long the work took; None if it failed."""
        load, by_caller = self.models[ticket.model], self._callers[ticket.caller]
        if seconds is not None:
            weight = _SERVICE_SMOOTHING if load.service_s else 1.0
            load.service_s += weight * (seconds - load.service_s)
            load.limit.answered(seconds, rows, load.running)
        elif throttled:
            load.limit.throttled()
        self.running -= 1
        load.running -= 1
        by_caller.running -= 1
        by_caller.of_model[ticket.model] -= 1
        self._forget(ticket.caller, by_caller)
        if self.waiting:
            self._admit_waiting()

    def give_up(self, ticket: Ticket) -> Overloaded:
        """Take a waiting ticket out of the queue; the error to raise."""
        flow = self._flows[ticket.model, ticket.caller]
        flow.remove(ticket)
        if not flow:
            del self._flows[ticket.model, ticket.caller]
        load, by_caller = self.models[ticket.model], self._callers[ticket.caller]
        self._count_waiting(load, by_caller, -1)
        self._forget(ticket.caller, by_caller)
        return self._overloaded(ticket.model, "waited", load.service_s)

    def _admit_waiting(self) -> None:
        while (key := self._next_flow()) is not None:
            flow = self._flows[key]
            ticket = flow.popleft()
            if flow:
                self._flows.move_to_end(key)
            else:
                del self._flows[key]
            load, by_caller = self.models[ticket.model], self._callers[ticket.caller]
            self._count_waiting(load, by_caller, -1)
            self._admit(ticket, load, by_caller).wake()

    def _next_flow(self) -> tuple[str, str] | None:
        if self.running >= self._capacity.slots:
            return None
        fitting = (key for key in self._flows if self._fits(key[0], self.models[key[0]], self._callers[key[1]]))
        return next(fitting, None)

    def _admit(self, ticket: Ticket, load: ModelLoad, by_caller: _CallerLoad) -> Ticket:
        self.running += 1
        load.running += 1
        by_caller.running += 1
        by_caller.of_model[ticket.model] = by_caller.of_model.get(ticket.model, 0) + 1
        ticket.admitted = True
        return ticket

    def _fits(self, model: str, load: ModelLoad, by_caller: _CallerLoad) -> bool:
        limit = load.limit.value
        return (
            self.running < self._capacity.slots
            and load.running < limit
            and by_caller.running < self._caller_slots
            and by_caller.of_model.get(model, 0) < _part(limit, self._capacity.caller_share)
        )

    def _turns_ahead(self, load: ModelLoad, by_caller: _CallerLoad) -> float:
        """How many times the slots are handed out until one more request of the caller gets one.

        Of other callers only as many requests are ahead as the caller itself has waiting, because they take turns.
        """
        turn = by_caller.waiting + 1
        ahead = turn * (len(self._flows) + (not by_caller.waiting))
        return max(
            min(load.waiting + 1, ahead) / load.limit.value,
            turn / self._caller_slots,
            min(self.waiting + 1, ahead) / self._capacity.slots,
        )

    def _allowed_wait_s(self, load: ModelLoad, remaining_s: float) -> float:
        return min(self._capacity.wait_s, remaining_s - load.service_s)

    def _rejected(self, model: str, load: ModelLoad, by_caller: _CallerLoad, allowed_s: float) -> Overloaded | None:
        ahead_s = self._turns_ahead(load, by_caller) * load.service_s
        reason = self._reason(load, by_caller, ahead_s, allowed_s)
        return self._overloaded(model, reason, ahead_s) if reason else None

    def _reason(self, load: ModelLoad, by_caller: _CallerLoad, ahead_s: float, allowed_s: float) -> str | None:
        """Why to reject: the queue is full, the model's or the caller's part of it is, or the wait would be too long."""
        if self.waiting >= self._capacity.queue:
            return "queue"
        if load.waiting >= self._model_queue:
            return "model"
        if by_caller.waiting >= self._caller_queue:
            return "caller"
        return "wait" if ahead_s > allowed_s or allowed_s <= 0 else None

    def _overloaded(self, model: str, reason: str, ahead_s: float) -> Overloaded:
        self.shed[model, reason] += 1
        return Overloaded(
            "the service has more requests than it can answer in time; send fewer at a time, or again in a moment",
            retry_after_s=max(1, math.ceil(min(ahead_s, _LONGEST_RETRY_AFTER_S))),
        )

    def _count_waiting(self, load: ModelLoad, by_caller: _CallerLoad, change: int) -> None:
        self.waiting += change
        load.waiting += change
        by_caller.waiting += change

    def _load(self, model: str) -> ModelLoad:
        load = self.models.get(model)
        if load is None:
            load = self.models[model] = ModelLoad(
                ConcurrencyLimit(self._capacity.min_limit, self._model_slots, self._clock)
            )
        return load

    def _forget(self, caller: str, by_caller: _CallerLoad) -> None:
        if not by_caller.running and not by_caller.waiting:
            self._callers.pop(caller, None)


def _part(whole: int, share: float) -> int:
    """A fraction of ``whole``, at least 1; below 100% one is always left for the others."""
    return whole if share >= 1 else max(1, min(whole - 1, math.ceil(whole * share)))
