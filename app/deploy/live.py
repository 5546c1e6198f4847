"""What is live: the small record that ``deploy`` leaves on S3 and the service reads, one for each model.

The service knows S3 and nothing of Snowflake, so that its image stays small; this record is all it needs to serve.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from app.deploy.rules import ServingRules
from app.errors import NotFound, PermanentError
from app.ports import ObjectStore
from sagemaker_entry.contract import Contract, ContractViolation

ScorerName = Literal["endpoint", "embedded"]


@dataclass(frozen=True)
class LiveVersion:
    """A registered version that answers.

    ``key``: the entity column that callers send before the features, if any. ``scorer``: an endpoint named ``endpoint``, of it
    the production variant ``variant`` where one is named, or the service itself with the artefact. ``live_from_s``: it answers
    from then on, in seconds since 1970; ``last_until_s``: until then the version before it answers the queries that it began.
    ``rules``: what an answer looks like.
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

    def to_json(self) -> bytes:
        """The record's bytes; ``from_json`` of them is equal to this value."""
        groups = {"contract": self.contract.to_dict(), "rules": self.rules.to_dict()}
        return json.dumps({**self.__dict__, **groups}, indent=1).encode()

    @classmethod
    def from_json(cls, body: bytes) -> LiveVersion:
        """The record in ``body``. Raises PermanentError where it is damaged: only ``deploy`` writes it."""
        try:
            fields: dict[str, Any] = json.loads(body)
            rules = ServingRules.from_dict(fields.get("rules", {}))
            return cls(**{**fields, "contract": Contract.from_dict(fields["contract"]), "rules": rules})
        except (ValueError, TypeError, KeyError, AttributeError, ContractViolation) as error:
            raise PermanentError(
                f"the record of the live version is damaged ({error}); run `snowsage deploy` again"
            ) from error


def read_live(store: ObjectStore, uri: str) -> LiveVersion | None:
    """The record at ``uri``; None where there is none, or a damaged one, which the next deployment replaces."""
    try:
        return LiveVersion.from_json(store.read(uri))
    except (NotFound, PermanentError):
        return None


def live_uri(bucket: str, model: str) -> str:
    """Where the record of ``model`` lies."""
    return f"s3://{bucket}/{model}/live.json"
