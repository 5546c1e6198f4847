"""The live record: which version of a model is live. One small object on S3 for each model, written by ``deploy``, read by the
service.

The service does not connect to Snowflake, so that its image stays small; the record on S3 is all that it needs. In an
experiment the record names several versions, each with a share of the entities. One contract and one set of rules, those of the
record, hold for all of them, so responses have the same form for each version.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

from app.deploy.rules import ServingRules
from app.errors import NotFound, PermanentError
from app.ports import ObjectStore
from sagemaker_entry.contract import Contract, ContractViolation

ScorerName = Literal["endpoint", "embedded"]


@dataclass(frozen=True)
class Share:
    """One version of an experiment. ``share``: of the entities, between 0 and 1. ``variant``: empty without an endpoint."""

    version: str
    variant: str
    share: float
    artifact_uri: str
    artifact_sha256: str


@dataclass(frozen=True)
class LiveVersion:
    """A registered version that answers.

    ``key``: the entity column that callers send before the features, if any. ``scorer``: an endpoint named ``endpoint`` with
    the production variant ``variant``, or the service itself with the artefact. ``live_from_s``: when it starts to answer, in
    seconds since 1970. ``last_until_s``: until then the previous version answers the queries that it began. ``rules``: the form
    of an answer. ``shares``: empty for a version that answers alone; else the versions of an experiment, itself first, with
    shares that add up to 1. ``by_hand``: the command by which a person made it live, ``promote`` or ``rollback``; empty for a run.
    """

    model: str
    version: str
    contract: Contract
    endpoint: str
    artifact_uri: str
    artifact_sha256: str
    key: str | None = None
    scorer: ScorerName = "endpoint"
    variant: str = ""
    live_from_s: float = 0.0
    last_until_s: float = 0.0
    rules: ServingRules = field(default_factory=ServingRules)
    shares: tuple[Share, ...] = ()
    by_hand: str = ""

    @cached_property
    def arms(self) -> tuple[LiveVersion, ...]:
        """The versions of the experiment, each as if it answered alone; without an experiment, this version."""
        return tuple(
            replace(
                self,
                version=share.version,
                variant=share.variant,
                artifact_uri=share.artifact_uri,
                artifact_sha256=share.artifact_sha256,
                shares=(),
            )
            for share in self.shares
        ) or (self,)

    @property
    def versions(self) -> dict[str, float]:
        """The versions that answer, each with its share of the entities; 1 for one that answers alone."""
        return {share.version: share.share for share in self.shares} or {self.version: 1.0}

    def arm(self, version: str) -> LiveVersion:
        """``version`` of the experiment, as if it answered alone; this record if the experiment does not have it."""
        return next((arm for arm in self.arms if arm.version == version), self)

    def to_json(self) -> bytes:
        """The record's bytes; ``from_json`` of them is equal to this value."""
        body = {each.name: getattr(self, each.name) for each in fields(self)}
        body |= {"contract": self.contract.to_dict(), "rules": self.rules.to_dict()}
        if self.shares:
            body["shares"] = [asdict(share) for share in self.shares]
        else:
            del body["shares"]  # services older than experiments can read the record of a version that answers alone
        if not self.by_hand:
            del body["by_hand"]  # older services can read what a run deploys
        return json.dumps(body, indent=1).encode()

    @classmethod
    def from_json(cls, body: bytes) -> LiveVersion:
        """The record in ``body``. Raises PermanentError for a damaged record: only ``deploy`` writes it."""
        try:
            found: dict[str, Any] = json.loads(body)
            rules = ServingRules.from_dict(found.get("rules", {}))
            shares = tuple(Share(**share) for share in found.get("shares", ()))
            contract = Contract.from_dict(found["contract"])
            live = cls(**{**found, "contract": contract, "rules": rules, "shares": shares})
            _check_fields(live)
            if shares:
                _check_shares(live)
            return live
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ContractViolation) as error:
            raise PermanentError(
                f"the record of the live version is damaged ({error}); run `snowsage deploy` again"
            ) from error


def _check_fields(live: LiveVersion) -> None:
    """Raise ValueError or TypeError for a field of another type, or a value that no version of this program writes."""
    texts = ("model", "version", "endpoint", "artifact_uri", "artifact_sha256", "variant")
    wrong = [name for name in texts if type(getattr(live, name)) is not str]
    wrong += ["key"] if live.key is not None and type(live.key) is not str else []
    for name in ("live_from_s", "last_until_s"):
        value = getattr(live, name)
        wrong += [] if type(value) in (int, float) and math.isfinite(value) else [name]
    if wrong:
        raise TypeError(f"{', '.join(wrong)} has another type")
    if live.scorer not in get_args(ScorerName):
        raise ValueError("the scorer is unknown")


def _check_shares(live: LiveVersion) -> None:
    """Raise ValueError or TypeError for shares that are not a valid experiment."""
    first, shares = live.arms[0], live.shares
    texts = [text for each in shares for text in (each.version, each.variant, each.artifact_uri, each.artifact_sha256)]
    if set(map(type, texts)) != {str}:
        raise TypeError("a version, variant or artefact of a share is not a text")
    if len(shares) < 2 or not all(0 < share.share < 1 for share in shares):
        raise ValueError("an experiment has at least two versions, each with a share between 0 and 1")
    if not math.isclose(math.fsum(share.share for share in shares), 1, abs_tol=1e-9):
        raise ValueError("the shares do not add up to 1")
    if first != replace(live, shares=()):
        raise ValueError("the first share is not the version's own")
    variants = {share.variant for share in shares if share.variant}
    if len({share.version for share in shares}) < len(shares) or (
        live.scorer == "endpoint" and len(variants) < len(shares)
    ):
        raise ValueError("two shares have the same version or variant")


def read_live(store: ObjectStore, uri: str) -> LiveVersion | None:
    """The record at ``uri``; None if there is none, or a damaged one, which the next deployment replaces."""
    try:
        return LiveVersion.from_json(store.read(uri))
    except (NotFound, PermanentError):
        return None


def live_uri(bucket: str, model: str) -> str:
    """The address of the record of ``model``."""
    return f"s3://{bucket}/{model}/live.json"
