"""The kinds of fault that callers are told of: a name that programs may rely on, what it means, what to do.

A problem document names its kind by ``type``, ``/problems/<name>``. RFC 9457 wants a URI that leads to an explanation and
recommends an absolute one; the service is told no public name of its own, and a URN would need a registered namespace and lead
nowhere. So it is a reference with the full path, as the RFC asks of relative ones, which this service itself answers.

The one surprise: an error's class says its kind (``SnowsageError.problem``), and the status stands here once more, for those who
read; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "/problems"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of fault. ``remedy``: what to do, with the headers that help."""

    name: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def uri(self) -> str:
        """What stands as ``type`` in a problem document."""
        return f"{PREFIX}/{self.name}"

    @property
    def text(self) -> str:
        """The explanation that ``uri`` leads to."""
        return f"{self.title}\n\ntype:   {self.uri}\nstatus: {self.status}\n\n{self.meaning}\n{self.remedy}\n"


_ALL = (
    ProblemType(
        "invalid-request",
        400,
        "The request is wrong",
        "The body, a header or a parameter is not what the route takes.",
        "Mend what `detail` names; the same request fails again.",
    ),
    ProblemType(
        "contract-violation",
        400,
        "The rows do not fit the model",
        "A feature is missing, unknown, of another type or out of range, or the endpoint refused the rows.",
        "Send the features that the live version was trained with; `detail` names the first that is wrong.",
    ),
    ProblemType(
        "query-cap",
        400,
        "The query asks for too many rows",
        "One query's rows are capped by `SNOWSAGE_MAX_QUERY_ROWS`.",
        "Select fewer rows, or score by a batch run.",
    ),
    ProblemType(
        "unauthorized",
        401,
        "A credential is missing or wrong",
        "Every path but the liveness check needs one.",
        "Send one; `WWW-Authenticate` says how.",
    ),
    ProblemType(
        "forbidden",
        403,
        "The credential lacks a scope",
        "The API key is known and may not do this.",
        "Use a key with the scope that `WWW-Authenticate` names.",
    ),
    ProblemType(
        "not-found",
        404,
        "What the path names is not there",
        "The model has no live version, another version is live, or no batch of this id was deferred.",
        "Run `snowsage deploy` for the model, or correct the name.",
    ),
    ProblemType(
        "unknown-path",
        404,
        "There is no such path",
        "The service has no route of this path; a slash at the end makes another path.",
        "Look at `/openapi.json`.",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "The path does not have this method",
        "The route is there for other methods.",
        "Use one that `Allow` names.",
    ),
    ProblemType(
        "body-timeout",
        408,
        "The body did not arrive in time",
        "It holds a place while it arrives, so it has `SNOWSAGE_BODY_S` seconds.",
        "Send it again, faster or smaller.",
    ),
    ProblemType(
        "too-large",
        413,
        "The body is too large",
        "As it came or unpacked, or by its number of arrays and objects.",
        "Send fewer rows at a time (`MAX_BATCH_ROWS`).",
    ),
    ProblemType(
        "too-many-rows",
        413,
        "The request has too many rows",
        "One request's rows are limited by `SNOWSAGE_MAX_ROWS`.",
        "Send fewer rows at a time (`MAX_BATCH_ROWS`).",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body is of a type that is not read here",
        "`Content-Type` names something else than JSON, or another charset than UTF-8.",
        "Send what `Accept` names.",
    ),
    ProblemType(
        "unsupported-encoding",
        415,
        "The body is compressed in a way that is not read here",
        "`Content-Encoding` names something else than gzip or deflate.",
        "Compress with what `Accept-Encoding` names, or not at all.",
    ),
    ProblemType(
        "overloaded",
        429,
        "Too much is asked at a time",
        "The service or the endpoint behind it has no place for the request.",
        "Send the request again after `Retry-After` seconds, and fewer at a time.",
    ),
    ProblemType(
        "failed",
        500,
        "The service failed",
        "Something is broken or set up wrong; the service's log says what.",
        "Tell its operator; the same request most likely fails again.",
    ),
    ProblemType(
        "unavailable",
        503,
        "The service cannot answer now",
        "S3 or the endpoint does not answer, or the request's time is over.",
        "Send the request again after `Retry-After` seconds.",
    ),
)

TYPES: Mapping[str, ProblemType] = {kind.name: kind for kind in _ALL}


def table() -> str:
    """All kinds as a table in Markdown, which the documentation holds too."""
    rows = [f"| `{kind.uri}` | {kind.status} | {kind.title} | {kind.meaning} {kind.remedy} |" for kind in _ALL]
    return "\n".join(["| `type` | status | `title` | meaning, and what to do |", "|---|---|---|---|", *rows]) + "\n"
