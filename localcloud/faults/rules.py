"""Fault rules, the plan that decides which request meets which rule, and the record of hits.

A request meets at most one rule. Every rule counts and draws independently, so a seed determines a rule's draws whatever other
rules do.
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

_RECORDED_HITS = 1000


class Kind(StrEnum):
    """What happens to a request. LOSE, CORRUPT and TRUNCATE act after the work is done, the others before."""

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
    Kind.THROTTLE: "rejected with the service's error for too many requests",
    Kind.ERROR: "rejected with the service's HTTP 5xx error",
    Kind.SLOW: "delayed by `seconds`",
    Kind.DROP: "the connection breaks before any work is done",
    Kind.EXPIRE: "rejected because Snowflake's session token has expired",
    Kind.KILL: "the processes of the endpoint or training job are killed, then the request is processed",
    Kind.INTERRUPT: "the spot training job is interrupted, then the request is processed",
    Kind.LOSE: "the work is done, and the connection breaks before the response",
    Kind.CORRUPT: "one byte of the response is wrong",
    Kind.TRUNCATE: "the response ends half way",
}

_SNOWFLAKE_ONLY = {Kind.EXPIRE}
_NEEDS_RESOURCE_OF = {
    Kind.KILL: ("sagemaker-runtime:InvokeEndpoint", "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob"),
    Kind.INTERRUPT: ("sagemaker:DescribeTrainingJob",),
}


@dataclass(frozen=True)
class Target:
    """A request as rules see it. ``names``: of its operation, the most general first. ``resources``: those that it names."""

    names: tuple[str, ...]
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One rule. ``operation`` and ``resource`` are case-insensitive globs.

    The first ``skip`` matching requests pass. After that, each is hit with probability ``rate``, until ``count`` requests have been
    hit (``None``: no limit). ``seconds``: delay of SLOW. ``seed``: of the draws for ``rate`` and the position of the wrong byte.
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
            raise CallerError(f"{self.operation!r} is not an operation; write SERVICE:OPERATION, such as s3:PutObject")
        if (self.count is not None and self.count < 1) or self.skip < 0:
            raise CallerError("count must be at least 1 and skip at least 0")
        if not 0 < self.rate <= 1:
            raise CallerError(f"rate must be above 0 and at most 1, not {self.rate:g}")
        if (self.kind is Kind.SLOW) != (self.seconds > 0):
            raise CallerError("the kind slow needs seconds above 0; other kinds take no seconds")
        if self.kind in _SNOWFLAKE_ONLY and service.lower() != "snowflake":
            raise CallerError(f"{self.kind} applies to Snowflake only; use snowflake:query or a statement")
        operations = _NEEDS_RESOURCE_OF.get(self.kind, ())
        if operations and not any(_matches(self.operation, name) for name in operations):
            raise CallerError(f"{self.kind} applies to these operations only: {', '.join(operations)}")

    def as_json(self) -> dict[str, Any]:
        """The rule's fields; :func:`fault_from` reads them back."""
        return asdict(self)

    def matches(self, target: Target) -> bool:
        """Whether the rule matches the request."""
        if not any(_matches(self.operation, name) for name in target.names):
            return False
        if self.kind in _NEEDS_RESOURCE_OF and target.names[0] not in _NEEDS_RESOURCE_OF[self.kind]:
            return False
        if self.kind in _SNOWFLAKE_ONLY and target.names[0] in ("snowflake:login", "snowflake:external-function"):
            return False
        return self.resource == "*" or any(_matches(self.resource, name) for name in target.resources)


def fault_from(values: Mapping[str, Any]) -> Fault:
    """A rule from JSON; raises :class:`CallerError` for unknown fields or invalid values."""
    unknown = set(values) - {item.name for item in fields(Fault)}
    if unknown:
        raise CallerError(f"unknown field {sorted(unknown)[0]!r} of a fault rule")
    try:
        return Fault(**{**values, "kind": Kind(values["kind"])})
    except (KeyError, TypeError, ValueError) as error:
        raise CallerError(f"invalid fault rule: {error}; kinds are {', '.join(Kind)}") from error


@dataclass(frozen=True)
class Fired:
    """The record of one hit; of the request it holds the operation only. ``at``: UTC."""

    at: dt.datetime
    operation: str
    kind: Kind
    rule: int


@dataclass(frozen=True)
class Hit:
    """A rule that a request meets. ``draw``: a random number in [0, 1) for this hit."""

    fault: Fault
    draw: float

    @property
    def kind(self) -> Kind:
        return self.fault.kind

    def damage(self, body: bytes) -> bytes:
        """``body`` with one wrong byte (CORRUPT) or its first half (TRUNCATE)."""
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
        self.draws = random.Random(self.fault.seed)  # noqa: S311 (repeatable draws, no secret)

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
    """The rules of one local cloud, shared by its servers; thread-safe. ``active``: whether there are any rules."""

    def __init__(self) -> None:
        self.active = False
        self._rules: list[_Rule] = []
        self._fired: deque[Fired] = deque(maxlen=_RECORDED_HITS)
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()

    def add(self, fault: Fault) -> int:
        """Add a rule; returns the number that lists and clears it."""
        with self._guard:
            rule = _Rule(next(self._numbers), fault)
            self._rules.append(rule)
            self.active = True
            return rule.number

    def clear(self, number: int | None = None) -> int:
        """Remove one rule, or all rules and the record of hits; returns how many were removed."""
        with self._guard:
            kept = [rule for rule in self._rules if number is not None and rule.number != number]
            removed = len(self._rules) - len(kept)
            self._rules = kept
            self.active = bool(kept)
            if number is None:
                self._fired.clear()
            return removed

    def decide(self, target: Target) -> Hit | None:
        """The first rule, in the order of adding, that hits the request. The request counts for that rule and those before it."""
        with self._guard:
            for rule in self._rules:
                hit = rule.hit(target)
                if hit is not None:
                    self._fired.append(Fired(dt.datetime.now(dt.UTC), target.names[0], hit.kind, rule.number))
                    return hit
        return None

    @property
    def fired(self) -> list[Fired]:
        """The latest hits, oldest first."""
        with self._guard:
            return list(self._fired)

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Rules with their counts, and hits, as JSON values."""
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
    # `[` is literal in these names.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
