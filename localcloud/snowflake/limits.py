"""Limits in time and memory of the local Snowflake."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """As Snowflake has them, where that is known.

    ``answer_s``: seconds after which the client of a statement that still runs is told to ask again; a connection that is silent
    for a minute is given up and its request sent again. ``call_retry_s``: how long one batch of an external function is tried;
    Snowflake has such a limit and does not tell it. ``call_deferred_s``: what an asynchronous batch gets, ten minutes.
    ``answers_bytes``: answers of external functions beyond this size wait on disk, for each query and function.
    """

    answer_s: float = 45.0
    call_retry_s: float = 60.0
    call_deferred_s: float = 600.0
    answers_bytes: int = 256 * 2**20
