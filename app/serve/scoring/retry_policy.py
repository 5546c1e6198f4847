"""Attempts at an endpoint: one call -> as many attempts as time, breaker and budget allow, most often one.

Only what may pass is tried again, and only where the attempt can end before the call's deadline. Each call adds a share of an
attempt to its endpoint's budget and each repetition takes a whole one, so that an endpoint that is down gets at most 1.2 times the
requests, and not three times. The wait before a repetition is drawn evenly between nothing and a bound that doubles ("full
jitter"), longer where the endpoint asked for less.

The one surprise: the budget begins empty, so that this holds for the first minute too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from app.errors import Overloaded, SnowsageError, TransientError
from app.serve.deadline import Deadline
from app.serve.scoring.circuit_breaker import FAILED_OF, Breaker, State

#: Attempts that one call makes at most.
MOST_ATTEMPTS = 3
#: Whole repetitions that quiet times save up, as a burst.
MOST_SAVED = 10.0
#: Bounds of the first wait, as AWS's SDKs have them: after a fault, and where the endpoint asks for less.
FIRST_WAIT_S, FIRST_WAIT_OVERLOADED_S = 0.05, 1.0
LONGEST_WAIT_S = 20.0
#: Of what is left when an attempt begins, the part that it may take; the rest is for the way back.
PART_FOR_ATTEMPT = 0.95

_SMOOTHING = 0.1

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Manners:
    """``retry_share``: repetitions to requests, at most. ``breaker_failures`` in a row open the breaker, for ``breaker_open_s``,
    and so do most of ``breaker_failed_of`` calls or more in a while."""

    retry_share: float = 0.2
    breaker_failures: int = 5
    breaker_open_s: float = 5.0
    breaker_failed_of: int = FAILED_OF


class Peer:
    """What is known of one endpoint. ``counts``: how attempts ended, and what became of wishes to repeat one."""

    def __init__(self, endpoint: str, manners: Manners, clock: Callable[[], float]) -> None:
        self.breaker = Breaker(
            endpoint, manners.breaker_failures, manners.breaker_open_s, clock, manners.breaker_failed_of
        )
        self.attempts: Counter[str] = Counter()  # ok, failed, throttled, refused
        self.retries: Counter[str] = Counter()  # made, or why not: exhausted, no_time, breaker_open, no_budget
        self.usual_s = 0.0
        self._share, self._saved = manners.retry_share, 0.0
        self._lock = Lock()

    def save(self) -> None:
        """A call begins."""
        with self._lock:
            self._saved = min(MOST_SAVED, self._saved + self._share)

    def spend(self) -> bool:
        """Whether the budget has an attempt left, which is then taken."""
        with self._lock:
            if self._saved < 1.0 - 1e-9:
                return False
            self._saved -= 1.0
            return True

    def fits(self, deadline: Deadline) -> bool:
        """Whether an attempt that takes as long as usual ends in time."""
        if deadline.remaining_s and deadline.allows(self.usual_s):
            return True
        self.usual_s /= 2  # or one slow answer could forbid all that would show that it was the only one
        return False

    def took(self, seconds: float, timeout_s: float) -> None:
        """An attempt was answered after ``seconds``."""
        seconds = min(seconds, timeout_s)
        self.usual_s = seconds if self.usual_s == 0.0 else self.usual_s + _SMOOTHING * (seconds - self.usual_s)


class Attempts:
    """Calls endpoints with patience. ``chance``: gives numbers from 0 to 1. Safe in many threads; sleeps in them."""

    def __init__(
        self,
        manners: Manners | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._manners, self._clock, self._sleep, self._chance = manners or Manners(), clock, sleep, chance
        self._lock = Lock()
        self.peers: dict[str, Peer] = {}

    def peer(self, endpoint: str) -> Peer:
        """What is known of ``endpoint``."""
        found = self.peers.get(endpoint)
        if found is None:
            with self._lock:
                found = self.peers.setdefault(endpoint, Peer(endpoint, self._manners, self._clock))
        return found

    def call(self, endpoint: str, deadline: Deadline, attempt: Callable[[float], Answer]) -> Answer:
        """What ``attempt`` gives; it is told how many seconds it may take. Raises what the last attempt raised, or Open."""
        peer = self.peer(endpoint)
        peer.save()
        number = 1
        while True:
            if not peer.fits(deadline):
                raise TransientError(f"too little time is left to ask endpoint {endpoint}; send fewer rows at a time")
            era = peer.breaker.enter()
            try:
                return self._attempt(peer, era, deadline, attempt)
            except TransientError as error:
                wait_s = self._wait_s(error, number)
                if not self._again(peer, deadline, number, wait_s):
                    raise
            self._sleep(wait_s)
            number += 1

    def _attempt(self, peer: Peer, era: int, deadline: Deadline, attempt: Callable[[float], Answer]) -> Answer:
        start = self._clock()
        timeout_s = deadline.remaining_s * PART_FOR_ATTEMPT
        ended, answered = "failed", False
        try:
            answer = attempt(timeout_s)
            ended, answered = "ok", True
            peer.took(self._clock() - start, timeout_s)
            return answer
        except Overloaded:
            ended, answered = "throttled", True
            raise
        except SnowsageError as error:
            answered = not isinstance(error, TransientError)
            ended = "refused" if answered else "failed"
            raise
        finally:
            peer.attempts[ended] += 1
            (peer.breaker.succeeded if answered else peer.breaker.failed)(era)

    def _wait_s(self, error: TransientError, number: int) -> float:
        first = FIRST_WAIT_OVERLOADED_S if isinstance(error, Overloaded) else FIRST_WAIT_S
        wait_s = self._chance() * min(LONGEST_WAIT_S, first * 2.0 ** (number - 1))
        return wait_s + (error.retry_after_s or 0.0)

    def _again(self, peer: Peer, deadline: Deadline, number: int, wait_s: float) -> bool:
        if number >= MOST_ATTEMPTS:
            fate = "exhausted"
        elif not deadline.allows(wait_s + peer.usual_s) or deadline.remaining_s <= wait_s:
            fate = "no_time"
        elif peer.breaker.state is State.OPEN:
            fate = "breaker_open"
        else:
            fate = "made" if peer.spend() else "no_budget"
        peer.retries[fate] += 1
        return fate == "made"
