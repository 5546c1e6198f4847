"""Problem types: the kinds of error that clients can rely on, with their status, meaning and remedy.

A problem document names its type as ``type``, ``/problems/<name>``. RFC 9457 asks for a URI that leads to an explanation and
recommends an absolute one. The service does not know its public name, and a URN would need a registered namespace and lead nowhere,
so the type is a relative reference with the full path, as the RFC asks, and this service answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "/problems"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One type. ``remedy``: what to do, and the headers that help."""

    name: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def uri(self) -> str:
        """The ``type`` of a problem document."""
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
        "The body, a header or a parameter is not what the route accepts.",
        "Fix what `detail` names; the same request fails again.",
    ),
    ProblemType(
        "contract-violation",
        400,
        "The rows do not fit the model",
        "A feature is missing, unknown, of another type or out of range, or the endpoint refused the rows.",
        "Send the features that the live version was trained with; `detail` names the first fault.",
    ),
    ProblemType(
        "query-cap",
        400,
        "The query scores too many rows",
        "`SNOWSAGE_MAX_QUERY_ROWS` limits the rows of one query.",
        "Select fewer rows, or score by a batch run.",
    ),
    ProblemType(
        "unauthorized",
        401,
        "A credential is missing or wrong",
        "Every path except the liveness check needs one.",
        "Send one; `WWW-Authenticate` says how.",
    ),
    ProblemType(
        "forbidden",
        403,
        "The credential lacks a scope",
        "The API key is valid but may not do this.",
        "Use a key with the scope that `WWW-Authenticate` names.",
    ),
    ProblemType(
        "not-found",
        404,
        "What the path names does not exist",
        "The model has no live version, another version is live, or no batch of this id was deferred.",
        "Run `snowsage deploy` for the model, or correct the name.",
    ),
    ProblemType(
        "unknown-path",
        404,
        "There is no such path",
        "The service has no such route; a path with a slash at the end is another path.",
        "Look at `/openapi.json`.",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "The path does not have this method",
        "The path exists with other methods.",
        "Use one that `Allow` names.",
    ),
    ProblemType(
        "body-timeout",
        408,
        "The body did not arrive in time",
        "A request holds a slot while its body arrives, at most `SNOWSAGE_BODY_S` seconds.",
        "Send it again, faster or smaller.",
    ),
    ProblemType(
        "too-large",
        413,
        "The body is too large",
        "Its size, compressed or not, or its number of arrays and objects exceeds the limit.",
        "Send fewer rows at a time (`MAX_BATCH_ROWS`).",
    ),
    ProblemType(
        "too-many-rows",
        413,
        "The request has too many rows",
        "`SNOWSAGE_MAX_ROWS` limits the rows of one request.",
        "Send fewer rows at a time (`MAX_BATCH_ROWS`).",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The media type is not supported",
        "`Content-Type` is not JSON, or its charset is not UTF-8.",
        "Send what `Accept` names.",
    ),
    ProblemType(
        "unsupported-encoding",
        415,
        "The encoding is not supported",
        "`Content-Encoding` is neither gzip nor deflate.",
        "Use what `Accept-Encoding` names, or no compression.",
    ),
    ProblemType(
        "overloaded",
        429,
        "Too many requests",
        "The service or the endpoint behind it has no capacity for the request.",
        "Send it again after `Retry-After` seconds, and fewer at a time.",
    ),
    ProblemType(
        "failed",
        500,
        "The service failed",
        "Something is broken or configured wrongly; the service's log says what.",
        "Tell its operator; the same request will most likely fail again.",
    ),
    ProblemType(
        "unavailable",
        503,
        "The service cannot answer now",
        "S3 or the endpoint does not answer, or the request's deadline has passed.",
        "Send the request again after `Retry-After` seconds.",
    ),
)

TYPES: Mapping[str, ProblemType] = {kind.name: kind for kind in _ALL}


def table() -> str:
    """All types as a table in Markdown, which the documentation contains too."""
    rows = [f"| `{kind.uri}` | {kind.status} | {kind.title} | {kind.meaning} {kind.remedy} |" for kind in _ALL]
    return "\n".join(["| `type` | status | `title` | meaning, and what to do |", "|---|---|---|---|", *rows]) + "\n"
