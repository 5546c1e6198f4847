"""Which request meets which fault: rules, the plan that decides, and the record of what fired.

In: targets, one for each request that a server is about to answer. Out: at most one fault each. The surprise: every rule counts
and draws by itself, so the same seed gives the same decisions whatever other rules do.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import itertools
import random
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from localcloud.errors import CallerError

_KEPT = 1000


class Kind(StrEnum):
    """What happens to a request. The first six come before any work is done, the last three after."""

    THROTTLE = "throttle"
    ERROR = "5xx"
    SLOW = "slow"
    DROP = "drop"
    EXPIRE = "expire"
    KILL = "kill"
    INTERRUPT = "interrupt"
    LOSE = "lose"
    CORRUPT = "corrupt"
    TRUNCATE = "truncate"


MEANINGS: Mapping[Kind, str] = {
    Kind.THROTTLE: "refused as too many requests, in the service's own form",
    Kind.ERROR: "refused with the service's own HTTP 5xx",
    Kind.SLOW: "answered `seconds` later",
    Kind.DROP: "the connection breaks before any work is done",
    Kind.EXPIRE: "Snowflake's session token has expired",
    Kind.KILL: "the endpoint's or the training job's processes are killed, then the request goes on",
    Kind.INTERRUPT: "the spot training job is interrupted, then the request goes on",
    Kind.LOSE: "the work is done, and the connection breaks before the answer",
    Kind.CORRUPT: "one byte of the answer is wrong",
    Kind.TRUNCATE: "the answer ends half way",
}

_SNOWFLAKE_ONLY = {Kind.EXPIRE}
_NEEDS_RESOURCE_OF = {
    Kind.KILL: ("sagemaker-runtime:InvokeEndpoint", "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob"),
    Kind.INTERRUPT: ("sagemaker:DescribeTrainingJob",),
}


@dataclass(frozen=True)
class Target:
    """A request as rules see it. ``names``: what it may be called, the plainest first; ``resources``: what it is about."""

    names: tuple[str, ...]
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One rule. ``operation`` and ``resource`` are globs, case ignored.

    Of the matching requests the first ``skip`` pass, then ``count`` are hit (``None``: all that come), each with probability
    ``rate``. ``seconds`` belongs to slow. ``seed`` makes the draws of ``rate`` and the wrong byte repeatable.
    """

    operation: str
    kind: Kind
    resource: str = "*"
    count: int | None = None
    skip: int = 0
    rate: float = 1.0
    seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        service, colon, rest = self.operation.partition(":")
        if self.operation != "*" and not (service and colon and rest):
            raise CallerError(f"{self.operation!r} names no operation; write SERVICE:OPERATION, such as s3:PutObject")
        if (self.count is not None and self.count < 1) or self.skip < 0:
            raise CallerError("a fault hits at least one request (count) and skips none or more (skip)")
        if not 0 < self.rate <= 1:
            raise CallerError(f"rate is a probability above 0 and up to 1, not {self.rate:g}")
        if (self.kind is Kind.SLOW) != (self.seconds > 0):
            raise CallerError("seconds, above 0, belongs to slow and to no other kind")
        if self.kind in _SNOWFLAKE_ONLY and service.lower() != "snowflake":
            raise CallerError(f"{self.kind} is a fault of Snowflake's requests; name snowflake:query or a statement")
        fitting = _NEEDS_RESOURCE_OF.get(self.kind, ())
        if fitting and not any(_matches(self.operation, name) for name in fitting):
            raise CallerError(f"{self.kind} needs a request about what it ends: {', '.join(fitting)}")

    def as_json(self) -> dict[str, Any]:
        """The rule's members; :func:`fault_from` reads them back."""
        return asdict(self)

    def matches(self, target: Target) -> bool:
        """Whether the request is one that this rule counts."""
        if not any(_matches(self.operation, name) for name in target.names):
            return False
        if self.kind in _NEEDS_RESOURCE_OF and target.names[0] not in _NEEDS_RESOURCE_OF[self.kind]:
            return False
        if self.kind in _SNOWFLAKE_ONLY and target.names[0] in ("snowflake:login", "snowflake:external-function"):
            return False
        return self.resource == "*" or any(_matches(self.resource, name) for name in target.resources)


def fault_from(values: Mapping[str, Any]) -> Fault:
    """A rule from JSON; :class:`CallerError` for members or values that make none."""
    unknown = set(values) - {item.name for item in fields(Fault)}
    if unknown:
        raise CallerError(f"a fault has no member {sorted(unknown)[0]!r}")
    try:
        return Fault(**{**values, "kind": Kind(values["kind"])})
    except (KeyError, TypeError, ValueError) as error:
        raise CallerError(f"not a fault: {error}; kinds are {', '.join(Kind)}") from error


@dataclass(frozen=True)
class Fired:
    """One hit: nothing of the request's content but the operation's name. ``at``: UTC."""

    at: dt.datetime
    operation: str
    kind: Kind
    rule: int


@dataclass(frozen=True)
class Hit:
    """What a door applies: the rule, and a number in [0, 1) drawn for this hit."""

    fault: Fault
    draw: float

    @property
    def kind(self) -> Kind:
        return self.fault.kind

    def spoil(self, body: bytes) -> bytes:
        """``body`` as corrupt or truncate leaves it."""
        if not body:
            return body
        if self.kind is Kind.TRUNCATE:
            return body[: len(body) // 2]
        at = int(self.draw * len(body))
        return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


@dataclass
class _Rule:
    number: int
    fault: Fault
    matched: int = 0
    fired: int = 0
    draws: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draws = random.Random(self.fault.seed)  # noqa: S311 (repeatable on purpose)

    def hit(self, target: Target) -> Hit | None:
        if (self.fault.count is not None and self.fired >= self.fault.count) or not self.fault.matches(target):
            return None
        self.matched += 1
        if self.matched <= self.fault.skip:
            return None
        draw = self.draws.random()
        if draw >= self.fault.rate:
            return None
        self.fired += 1
        return Hit(self.fault, self.draws.random())


class FaultPlan:
    """The rules of one local cloud; safe to share between threads and servers. ``active`` is what a door looks at first."""

    def __init__(self) -> None:
        self.active = False
        self._rules: list[_Rule] = []
        self._fired: deque[Fired] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()

    def add(self, fault: Fault) -> int:
        """The rule's number, by which it is listed and cleared."""
        with self._guard:
            rule = _Rule(next(self._numbers), fault)
            self._rules.append(rule)
            self.active = True
            return rule.number

    def clear(self, number: int | None = None) -> int:
        """Remove one rule, or all and the record with them; how many were removed."""
        with self._guard:
            kept = [rule for rule in self._rules if number is not None and rule.number != number]
            removed = len(self._rules) - len(kept)
            self._rules = kept
            self.active = bool(kept)
            if number is None:
                self._fired.clear()
            return removed

    def decide(self, target: Target) -> Hit | None:
        """The first rule, in the order of adding, that hits this request; the request counts for that rule and those before."""
        with self._guard:
            for rule in self._rules:
                hit = rule.hit(target)
                if hit is not None:
                    self._fired.append(Fired(dt.datetime.now(dt.UTC), target.names[0], hit.kind, rule.number))
                    return hit
        return None

    @property
    def fired(self) -> list[Fired]:
        """The newest hits, oldest first."""
        with self._guard:
            return list(self._fired)

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Rules with their counts, and what fired, as JSON has it."""
        with self._guard:
            rules = [
                {"rule": rule.number, **asdict(rule.fault), "matched": rule.matched, "fired": rule.fired}
                for rule in self._rules
            ]
            fired = [{**asdict(item), "at": item.at.isoformat()} for item in self._fired]
        return {"rules": rules, "fired": fired}


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern.lower()).match(text.lower()) is not None


def _compiled(pattern: str) -> re.Pattern[str]:
    # `[` means itself in the names that are matched here.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
