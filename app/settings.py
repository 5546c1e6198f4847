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

from pydantic import Field, SecretStr, ValidationError, field_validator
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
    execution_role_arn: str = Field(description="IAM role that SageMaker takes on in training jobs and endpoints.")
    stage: str = Field("ML.LAKE", description="External stage over the whole bucket.")
    api_integration: str = Field("SNOWSAGE_API", description="API integration that external functions go through.")
    reader_role: str | None = Field(
        "SNOWSAGE_READER",
        description="Role that may call the SQL functions; granted at each deployment, since OR REPLACE takes grants away.",
    )
    gateway_url: str = Field(description="Base URL at which Snowflake reaches the service, through API Gateway.")
    api_url: str = Field(description="Base URL at which `deploy` reaches the service itself.")
    secret: SecretStr = Field(description="The service's shared secret, sent by `deploy`; one of SNOWSAGE_SECRETS.")
    poll_s: float = Field(
        5.0, gt=0, description="Seconds between two looks at a job or an endpoint. AWS bills none of them."
    )
    endpoint_timeout_s: float = Field(
        1800,
        gt=0,
        description="Seconds to wait for an endpoint to be in service; SageMaker's own limit is near 30 minutes.",
    )
    switch_lead_s: float = Field(
        10.0,
        ge=0,
        description="Seconds from the record of a new version to the moment at which all replicas of the service switch to it; "
        "longer than they take to read it (SNOWSAGE_LIVE_POLL_S).",
    )
    drain_s: float = Field(
        60.0,
        ge=0,
        description="Seconds after a switch for which queries that began before it keep their version; so long its instances stay.",
    )


class ServeSettings(_Group):
    """The online service."""

    serve_host: str = Field("127.0.0.1", description="Address to listen on.")
    serve_port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 means a free one.")
    workers: int = Field(
        1,
        ge=0,
        description="Processes that answer, each with the memory, threads and limits of one; 0 or auto: one a core that this "
        "process may use. Scoring uses several cores in one process; more processes are for many small requests.",
    )
    bucket: str = Field(description="S3 bucket in which `deploy` leaves what is live.")
    secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Shared secrets, joined by commas; several are valid at a time, so that they can be rotated. "
        "Empty where every caller brings an API key."
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="API keys as `snowsage serve key` prints them, name:scopes:sha256, joined by commas. Empty: secrets only.",
    )
    api_keys_file: Path | None = Field(
        None, description="File with one API key a line, read again when it changes; for rotation without a restart."
    )
    open_paths: Annotated[tuple[OpenPath, ...], NoDecode] = Field(
        (),
        description="Paths that need no credential beside the liveness check, joined by commas, any of /v2/health/ready "
        "(for balancers that cannot send one), /docs and /openapi.json (for browsers). Empty: none.",
    )
    max_query_rows: int = Field(
        0,
        ge=0,
        description="Rows that a Snowflake query may have scored in this process, against a slip of the pen; 0: no cap.",
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
        description="Share of requests traced once OTEL_EXPORTER_OTLP_ENDPOINT is set; a caller's own decision goes before it.",
    )
    capture_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of what is scored that is written to S3 for monitoring; 0: nothing is captured.",
    )
    capture_by: Literal["batch", "key"] = Field(
        "batch",
        description="What is sampled: whole batches, or entities by their key, so that an entity is captured always or never. "
        "Models that take no key are sampled by batch.",
    )
    capture_file_rows: int = Field(50_000, gt=0, description="Rows after which a file of captured rows is written.")
    capture_file_s: float = Field(
        60.0, gt=0, description="Seconds after which captured rows are written at the latest, however few."
    )
    capture_buffer_bytes: int = Field(
        64 * 1024 * 1024, gt=0, description="Memory for captured rows that wait to be written; beyond it they are lost."
    )
    live_poll_s: float = Field(
        4.0, gt=0, description="Seconds between two looks at what is live; one small read of S3 a model."
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024, gt=0, description="Largest request body, unpacked; API Gateway's limit is 10 MB."
    )
    max_rows: int = Field(
        65_536,
        gt=0,
        description="Most rows of one request; Snowflake's batches end near 4,096, direct callers may send more.",
    )
    body_s: float = Field(
        10.0, gt=0, description="Seconds in which a request's body has to arrive; it holds a place meanwhile."
    )
    scorer_threads: int = Field(
        16, gt=0, description="Requests that may be under way at a time, each in a thread; more for slow endpoints."
    )
    chunks_in_flight: int = Field(
        4,
        gt=0,
        description="Parts of requests too large for one call to an endpoint that may be under way at a time, over all requests; "
        "a batch of Snowflake's is hardly ever that large, so a few do.",
    )
    concurrency_min: int = Field(
        4,
        gt=0,
        description="Requests of one model that rising latency never forbids; enough to keep a few cores at work.",
    )
    queue_requests: int = Field(
        128,
        gt=0,
        description="Requests that may wait for a thread, bodies unread; a small warehouse sends 64 at a time.",
    )
    queue_wait_s: float = Field(
        1.0,
        gt=0,
        description="Seconds that a request may wait for a thread; beyond them 429 tells Snowflake to slow down.",
    )
    model_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Part of threads and queue that one model may take; 1 where a single model is served.",
    )
    caller_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Part of threads and queue that one caller (credential and Snowflake user) may take; 1 for no limit.",
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Repeated requests to an endpoint for each first one, at most; Snowflake repeats what fails anyway.",
    )
    breaker_failures: int = Field(
        5, gt=0, description="Failures in a row after which an endpoint is left alone; Envoy's default."
    )
    breaker_open_s: float = Field(
        5.0,
        gt=0,
        description="Seconds for which a failing endpoint is left alone, then probed; doubled up to 8 times while it fails.",
    )
    lame_duck_s: float = Field(
        5.0,
        ge=0,
        description="Seconds after SIGTERM in which new requests are still answered, until a load balancer has heard.",
    )
    budget_s: float = Field(
        27.0,
        gt=0,
        description="Seconds to answer a request in; less than the gateway's 29 s, or Snowflake repeats the work.",
    )
    replay_retention_s: float = Field(
        900.0,
        ge=0,
        description="Seconds for which a batch that is sent again gets the same answer; longer than Snowflake's 600 s of tries.",
    )
    replay_bytes: int = Field(
        128 * 1024 * 1024,
        ge=0,
        description="Memory for answers that may be asked for again; about 1,000 batches of 4,096 rows.",
    )
    deferred_concurrency: int = Field(
        2,
        ge=0,
        description="Batches scored beyond one request's time that this replica works on at once; 0 never answers 202, for "
        "gateways that do not route GET.",
    )
    deferred_waiting: int = Field(
        64,
        gt=0,
        description="Such batches that this replica holds, at work or waiting; one more is told to come again.",
    )
    deferred_limit_s: float = Field(
        570.0,
        gt=0,
        description="Seconds after which such a batch has failed; less than the 600 s after which Snowflake stops to ask.",
    )
    deferred_lease_s: float = Field(
        30.0,
        gt=0,
        description="Seconds after the last sign of life of a replica until another takes its batches over; renewed each third.",
    )

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

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="Least level that is written."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or JSON for a collector.")


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
        return f"{variable} is not set. {meaning} `snowsage local up` prints a value for the local cloud."
    return f"{variable} is wrong: {fault['msg']}. {meaning}"
