"""The ports: Protocols for everything that the stages need from outside, and the plain values that they exchange.

Adapters in ``app/cloud`` implement these Protocols for Snowflake and AWS; connection settings point the same adapters at the
local cloud. A stage's signature shows which of them it uses. Methods raise the errors of ``app/errors.py``, never a vendor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from app.sql import Statement

Row = tuple[Any, ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Table:
    """A query's result: column names as Snowflake writes them, and the rows."""

    columns: tuple[str, ...]
    rows: list[Row]

    def scalar(self) -> Any:
        """The first value of the first row."""
        return self.rows[0][0]


@dataclass(frozen=True)
class ColumnType:
    """A result column. ``kind`` reduces Snowflake's types to those that the stages distinguish.

    ``whole``: False for a number that can have a fraction. ``type``: Snowflake's name of the type, for messages; empty if unknown.
    """

    name: str
    kind: Literal["number", "boolean", "text", "time", "other"]
    whole: bool = True
    type: str = field(default="", compare=False)


class Warehouse(Protocol):
    """Snowflake."""

    def run(self, statement: Statement) -> Table:
        """Run one statement, in the warehouse that it names."""

    def tag(self, text: str) -> None:
        """Label the statements that follow, so that QUERY_HISTORY shows what they were for."""

    def run_atomically(self, statements: Sequence[Statement]) -> list[Table]:
        """Run DML statements in one transaction: all or none."""

    def run_together(self, work: Sequence[Callable[[], Result]]) -> list[Result]:
        """Do independent work at the same time, each piece by calls of this warehouse; the results in order.

        The pieces may call everything but ``run_atomically``, whose transaction is the session's. If one fails, the first error is
        raised once all have ended.
        """

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        """The columns of a query, without running it."""

    def describe_all(self, queries: Sequence[str]) -> list[tuple[ColumnType, ...]]:
        """The columns of each query, by one question. If one of them fails, the error of the first that fails is raised alone."""

    def compile(self, build: Callable[[Any], Any], described: MutableMapping[str, Any] | None = None) -> str:
        """The one query of the Snowpark DataFrame that ``build`` makes from a Snowpark session; nothing is run.

        Equal frames give equal texts. ``described``: answers about the columns of frames, kept for the next call.
        """

    def close(self) -> None:
        """Log out."""


@dataclass(frozen=True)
class StoredObject:
    """An object on S3."""

    uri: str
    size_bytes: int


@dataclass(frozen=True)
class Versioned:
    """An object's bytes, its version, and the seconds since it was written, by S3's clock."""

    body: bytes
    etag: str
    age_s: float


class ObjectStore(Protocol):
    """S3. Addresses are ``s3://bucket/key``."""

    def read(self, uri: str) -> bytes:
        """The object's bytes. Raises NotFound."""

    def write(self, uri: str, body: bytes) -> None:
        """Put an object, whole or not at all."""

    def create(self, uri: str, body: bytes, tags: Mapping[str, str]) -> bool:
        """Put an object with tags unless it exists; False, and nothing written, if it does. Of concurrent calls, one succeeds."""

    def read_versioned(self, uri: str) -> Versioned:
        """The object with its version. Raises NotFound."""

    def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
        """Put an object over its version ``etag``, or, with None, unless it exists. Returns the new version.

        Returns None, and writes nothing, if the object has another version. Of concurrent calls, one succeeds.
        """

    def delete(self, uri: str, etag: str) -> bool:
        """Delete an object if its version is ``etag``; False, and nothing deleted, if it is another one or is gone."""

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a file."""

    def list_below(self, prefix_uri: str) -> list[StoredObject]:
        """All objects below a prefix, ordered by key."""

    def folders(self, prefix_uri: str) -> list[str]:
        """The names one level below a prefix that ends in a slash."""

    def delete_below(self, prefix_uri: str) -> None:
        """Delete every object below a prefix."""


@dataclass(frozen=True)
class TrainingRequest:
    """One training job. ``name_prefix`` identifies the work: a job with that prefix is the same work, started earlier.

    The names of its jobs are the prefix and the number of the attempt.
    """

    name_prefix: str
    image_version: str
    module: str
    source_dir: Path
    hyperparameters: Mapping[str, Any]
    channel_uri: str
    output_uri: str
    instance_type: str
    instance_count: int
    spot: bool
    max_runtime_s: int
    metric_regexes: Mapping[str, str]
    tags: Mapping[str, str]


JobStatus = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]


@dataclass(frozen=True)
class TrainingJob:
    """A job as the platform describes it. ``billable_s`` and ``artifact_uri`` are known once it has ended."""

    name: str
    status: JobStatus
    phase: str
    reason: str
    artifact_uri: str | None
    billable_s: int | None
    metrics: Mapping[str, float]


class TrainingService(Protocol):
    """SageMaker training."""

    def reach(self, instance_type: str, count: int, *, spot: bool) -> None:
        """Raise CallerError if a job on such instances cannot start: the role does not exist, or the account's quota is too small.

        What the credentials may not read is not checked.
        """

    def find(self, name_prefix: str) -> TrainingJob | None:
        """The newest job whose name starts with the prefix, if any."""

    def submit(self, request: TrainingRequest, name: str) -> bool:
        """Start a job of this name; False, and nothing started, if there is one already. Of concurrent calls, one succeeds."""

    def describe(self, name: str) -> TrainingJob:
        """The job's present state."""

    def log_tail(self, name: str, lines: int) -> list[str]:
        """The last lines it wrote."""


@dataclass(frozen=True)
class Variant:
    """A version behind an endpoint. ``name``: the variant's within the endpoint. ``model_name``: the model's in the account."""

    name: str
    model_name: str
    image_version: str
    artifact_uri: str
    environment: Mapping[str, str]
    instance_type: str
    instance_count: int
    weight: float = 1.0


@dataclass(frozen=True)
class EndpointRequest:
    """Versions to serve. ``endpoint`` is the name that callers use; a configuration is named after its content."""

    endpoint: str
    config_name: str
    variants: tuple[Variant, ...]
    tags: Mapping[str, str]


_CHANGING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


@dataclass(frozen=True)
class EndpointState:
    """An endpoint as the platform describes it."""

    status: str
    config_name: str
    reason: str

    @property
    def changing(self) -> bool:
        """Whether a change is in progress, during which AWS accepts no other one. ``config_name`` is then the one before."""
        return self.status in _CHANGING


class HostingService(Protocol):
    """SageMaker hosting."""

    def describe(self, endpoint: str) -> EndpointState | None:
        """The endpoint's state; None if it does not exist."""

    def tags(self, endpoint: str) -> Mapping[str, str] | None:
        """The endpoint's tags; None if it does not exist."""

    def apply(self, request: EndpointRequest) -> None:
        """Create or update model, configuration and endpoint; safe to repeat; does not wait.

        Raises Busy while another change of the endpoint is in progress.
        """

    def log_tail(self, endpoint: str, lines: int) -> list[str]:
        """The last lines its containers wrote."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request to an endpoint, the same at every attempt: ``body`` for ``variant``, or, if that is empty, for a variant chosen
    by the endpoint's weights.
    """

    endpoint: str
    body: bytes
    content_type: str
    variant: str = ""
    accept: str = "application/x-npy"


@dataclass(frozen=True, slots=True)
class Invoked:
    """An endpoint's response, and the production variant that gave it."""

    body: bytes
    variant: str


class ScoringEndpoint(Protocol):
    """The hot path to a SageMaker endpoint."""

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        """The endpoint's response; one attempt, for at most ``timeout_s``.

        Raises CallerError for a payload that its code refuses, NotFound for an endpoint or variant that does not exist,
        Overloaded if it throttles, TransientError if another attempt may succeed.
        """


class ServiceControl(Protocol):
    """The online service, as ``deploy`` uses it."""

    def reach(self) -> None:
        """Raise TransientError if the service does not answer."""

    def refresh(self, model: str) -> Mapping[str, Any]:
        """Tell the service that a version went live; what it serves now."""
