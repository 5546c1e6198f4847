"""Settings: read once, from the environment; frozen; one group for each part of the program that needs some.

The program's own variables are ``SNOWSAGE_*``. Snowflake's and AWS's variables and files (``SNOWFLAKE_*``, ``AWS_*``,
``connections.toml``, profiles) are read by their libraries and have their usual meaning. There is no ``SNOWSAGE_PORT`` and no
``SNOWSAGE_SERVICE_HOST``: Kubernetes injects variables of that form for a service named snowsage.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import CallerError

OpenPath = Literal["/v2/health/ready", "/docs", "/openapi.json"]

_KUBERNETES = re.compile(r"SNOWSAGE_(SERVICE_.*|PORT(_\d.*)?)")


class _Group(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SNOWSAGE_", frozen=True, extra="ignore")


class WarehouseSettings(_Group):
    """Snowflake, apart from the connection."""

    database: str = Field(
        "SNOWSAGE", description="Snowflake database with the schemas RAW, FEATURE_STORE, ML, ANALYTICS."
    )


class LakeSettings(_Group):
    """The bucket, for commands that can do without one."""

    bucket: str = Field("", description="S3 bucket for exports, models and predictions, without s3://.")


class PlatformSettings(_Group):
    """What ``infra`` made in the two accounts, as the stages that act on them need it."""

    bucket: str = Field(description="S3 bucket for exports, models and predictions, without s3://.")
    execution_role_arn: str = Field(description="IAM role that SageMaker assumes in training jobs and endpoints.")
    stage: str = Field("ML.LAKE", description="External stage over the whole bucket.")
    api_integration: str = Field("SNOWSAGE_API", description="API integration that external functions go through.")
    reader_role: str | None = Field(
        "SNOWSAGE_READER",
        description="Role that may call the SQL functions; granted at each deployment, since OR REPLACE removes grants.",
    )
    gateway_url: str = Field(description="Base URL at which Snowflake reaches the service, through API Gateway.")
    api_url: str = Field(description="Base URL at which `deploy` reaches the service itself.")
    secret: SecretStr = Field(description="The service's shared secret, sent by `deploy`; one of SNOWSAGE_SECRETS.")
    poll_s: float = Field(
        5.0, gt=0, description="Seconds between two polls of a job or an endpoint. AWS does not bill them."
    )
    endpoint_timeout_s: float = Field(
        1800,
        gt=0,
        description="Seconds to wait for an endpoint to be in service; SageMaker's own limit is near 30 minutes.",
    )
    switch_lead_s: float = Field(
        10.0,
        ge=0,
        description="Seconds from the record of a new version until all replicas of the service switch to it; "
        "must be longer than SNOWSAGE_LIVE_POLL_S.",
    )
    drain_s: float = Field(
        60.0,
        ge=0,
        description="Seconds after a switch in which queries that began before it keep their version; its instances stay as long.",
    )


class ServeSettings(_Group):
    """The online service."""

    serve_host: str = Field("127.0.0.1", description="Address to listen on.")
    serve_port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 means a free one.")
    workers: int = Field(
        1,
        ge=0,
        description="Worker processes, each with memory, threads and limits of its own; 0 or auto: one for each core that this "
        "process may use. Scoring uses several cores in one process; more processes are for many small requests.",
    )
    bucket: str = Field(description="S3 bucket in which `deploy` writes the records of live versions.")
    secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Shared secrets, separated by commas; several are valid at a time, for rotation. "
        "Empty if every caller has an API key."
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="API keys as `snowsage serve key` prints them, name:scopes:sha256, separated by commas. Empty: secrets only.",
    )
    api_keys_file: Path | None = Field(
        None, description="File with one API key per line, read again when it changes, for rotation without a restart."
    )
    open_paths: Annotated[tuple[OpenPath, ...], NoDecode] = Field(
        (),
        description="Paths that need no credential, separated by commas, next to the liveness check: any of /v2/health/ready "
        "(for balancers that cannot send one), /docs and /openapi.json (for browsers). Empty: none.",
    )
    max_query_rows: int = Field(
        0,
        ge=0,
        description="Maximum rows of one Snowflake query that this process scores, against mistakes; 0: no cap.",
    )
    log_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of successful requests that get a log line; failures always do. For services with many small requests.",
    )
    trace_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of requests that are traced if OTEL_EXPORTER_OTLP_ENDPOINT is set; "
        "a caller's own sampling decision takes precedence.",
    )
    capture_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of scored rows that are written to S3 for monitoring; 0: none.",
    )
    capture_by: Literal["batch", "key"] = Field(
        "batch",
        description="What is sampled: whole batches, or entities by their key, so that an entity is captured always or never. "
        "Models without a key are sampled by batch.",
    )
    capture_file_rows: int = Field(50_000, gt=0, description="Rows after which a file of captured rows is written.")
    capture_file_s: float = Field(
        60.0, gt=0, description="Maximum seconds until captured rows are written, however few."
    )
    capture_buffer_bytes: int = Field(
        64 * 1024 * 1024,
        gt=0,
        description="Memory for captured rows that wait to be written; rows beyond it are dropped.",
    )
    live_poll_s: float = Field(
        4.0, gt=0, description="Seconds between two reads of the records of live versions; one small S3 read per model."
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024, gt=0, description="Largest request body, unpacked; API Gateway's limit is 10 MB."
    )
    max_rows: int = Field(
        65_536,
        gt=0,
        description="Maximum rows of one request; Snowflake's batches have up to about 4,096, direct callers may send more.",
    )
    body_s: float = Field(
        10.0,
        gt=0,
        description="Maximum seconds for a request's body to arrive; meanwhile the request counts against the limits.",
    )
    scorer_threads: int = Field(
        16, gt=0, description="Maximum concurrent requests, each in a thread; raise it for slow endpoints."
    )
    chunks_in_flight: int = Field(
        4,
        gt=0,
        description="Maximum concurrent parts of requests that are too large for one call to an endpoint, over all requests; "
        "Snowflake's batches are hardly ever that large, so a few suffice.",
    )
    concurrency_min: int = Field(
        4,
        gt=0,
        description="Concurrent requests of one model that rising latency never limits; enough to keep a few cores busy.",
    )
    queue_requests: int = Field(
        128,
        gt=0,
        description="Maximum requests that wait for a thread, bodies unread; a small warehouse sends 64 at a time.",
    )
    queue_wait_s: float = Field(
        1.0,
        gt=0,
        description="Maximum seconds that a request waits for a thread; then 429 makes Snowflake slow down.",
    )
    model_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Maximum fraction of threads and queue for one model; 1 if a single model is served.",
    )
    caller_share: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Maximum fraction of threads and queue for one caller (an API key, or a Snowflake user behind the gateway), "
        "and of the threads that one model may have, so that other callers of it get some; 1 for no limit.",
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Maximum retries to an endpoint as a fraction of first attempts; Snowflake repeats failed batches anyway.",
    )
    breaker_failures: int = Field(
        5,
        gt=0,
        description="Consecutive failures after which an endpoint's circuit breaker opens; Envoy's default. "
        "Also the least number of calls for which a high ratio of failures opens it, if above 20.",
    )
    breaker_open_s: float = Field(
        5.0,
        gt=0,
        description="Seconds until an open circuit breaker lets a probe through; doubled up to 8 times while probes fail.",
    )
    worker_silence_s: float = Field(
        30.0,
        gt=0,
        description="Seconds without a sign of life after which one of several workers is killed and replaced; "
        "each gives one every quarter of them.",
    )
    lame_duck_s: float = Field(
        5.0,
        ge=0,
        description="Seconds after SIGTERM in which new requests are still answered, until load balancers notice.",
    )
    budget_s: float = Field(
        27.0,
        gt=0,
        description="Maximum seconds for a response; must be less than the gateway's 29 s, or Snowflake repeats the work.",
    )
    replay_retention_s: float = Field(
        900.0,
        ge=0,
        description="Seconds for which a repeated batch gets the same response; must be longer than Snowflake's 600 s of retries.",
    )
    replay_bytes: int = Field(
        128 * 1024 * 1024,
        ge=0,
        description="Memory for responses of repeated batches; about 1,000 batches of 4,096 rows.",
    )
    deferred_concurrency: int = Field(
        2,
        ge=0,
        description="Deferred batches (202) that this replica scores at a time; 0 never defers, for "
        "gateways that do not route GET.",
    )
    deferred_waiting: int = Field(
        64,
        gt=0,
        description="Maximum deferred batches of this replica, scored or waiting; further ones are rejected.",
    )
    deferred_limit_s: float = Field(
        570.0,
        gt=0,
        description="Seconds after which a deferred batch fails; must be less than the 600 s after which Snowflake stops polling.",
    )
    deferred_reserve_s: float | None = Field(
        None,
        gt=0,
        description="Seconds of a request's time in which a batch that is deferred is written to S3; by default a tenth of "
        "budget_s, and at most 2.",
    )
    deferred_lease_s: float = Field(
        30.0,
        gt=0,
        description="Seconds without a renewal of its lease after which another replica takes over a deferred batch; "
        "renewed after a third of them.",
    )

    @field_validator("deferred_reserve_s")
    @classmethod
    def _within_the_budget(cls, value: float | None, info: ValidationInfo) -> float | None:
        budget_s = info.data.get("budget_s")
        if value is not None and budget_s is not None and value >= budget_s:
            raise PydanticCustomError("reserve", "Input should be less than SNOWSAGE_BUDGET_S")
        return value

    @field_validator("workers", mode="before")
    @classmethod
    def _auto(cls, value: object) -> object:
        return 0 if value == "auto" else value

    @field_validator("secrets", "api_keys", "open_paths", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class LogSettings(_Group):
    """Log lines on standard error."""

    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        None, description="Lowest level that is written; default: info for `serve`, warning for other commands."
    )
    log_format: Literal["text", "json"] | None = Field(
        None,
        description="Lines for people, or JSON for a collector; default: JSON for `serve` without a terminal, text otherwise.",
    )


Settings = TypeVar("Settings", bound=_Group)

_GROUPS: tuple[type[_Group], ...] = (WarehouseSettings, PlatformSettings, ServeSettings, LogSettings)


def read(group: type[Settings]) -> Settings:
    """Read one group from the environment. Raises CallerError with the name and the meaning of each wrong variable."""
    try:
        return group()
    except ValidationError as error:
        raise CallerError("\n".join(_explain(group, fault) for fault in error.errors())) from None


def known_variables() -> dict[str, str]:
    """Every ``SNOWSAGE_*`` variable and its meaning."""
    return {
        f"SNOWSAGE_{name.upper()}": field.description or ""
        for group in _GROUPS
        for name, field in group.model_fields.items()
    }


def without_unknown(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a child process, without unknown ``SNOWSAGE_*`` variables, of which the parent has warned."""
    known = known_variables()
    return {name: value for name, value in environment.items() if not name.startswith("SNOWSAGE_") or name in known}


def warnings_for(environment: dict[str, str]) -> list[str]:
    """A sentence for each ``SNOWSAGE_*`` variable that is unknown, with the nearest known name."""
    known = known_variables()
    found = []
    for name in sorted(environment):
        if name.startswith("SNOWSAGE_") and name not in known and not _KUBERNETES.fullmatch(name):
            nearest = difflib.get_close_matches(name, known, n=1)
            found.append(f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "."))
    return found


def _explain(group: type[_Group], fault: object) -> str:
    assert isinstance(fault, dict)
    name = str(fault["loc"][0])
    variable, meaning = f"SNOWSAGE_{name.upper()}", group.model_fields[name].description
    if fault["type"] == "missing":
        return f"{variable} is not set. {meaning} `snowsage local env` prints its value for the local cloud."
    return f"{variable} is wrong: {fault['msg']}. {meaning}"
