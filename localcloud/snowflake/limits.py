"""Time and memory limits of the local Snowflake."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Snowflake's own limits, where they are known.

    ``answer_s``: seconds after which a request for a statement that still runs is answered with the URL to poll; the connector
    repeats a request without a reply after a minute. ``call_retry_s``: seconds in which one batch of an external function is
    retried; Snowflake does not document its limit. ``call_deferred_s``: seconds for an asynchronous batch; Snowflake's limit is ten
    minutes. ``answers_bytes``: answers beyond this size are stored on disk, for each query and external function.
    """

    answer_s: float = 45.0
    call_retry_s: float = 60.0
    call_deferred_s: float = 600.0
    answers_bytes: int = 256 * 2**20
