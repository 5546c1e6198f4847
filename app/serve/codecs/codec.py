"""The codec interface: one wire format, both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.deploy.live import LiveVersion
from app.serve.rows import Reply, Rows, Scored


@dataclass(frozen=True)
class Codec:
    """One format, both ways. Both raise CallerError, whose text names the fault and never a value.

    ``decode``: the body, the version, the headers, and the most rows; it raises TooManyRows for more before it takes memory for
    them, which need not be in proportion to the body: an absent key takes no byte there.

    ``version``: the version that the request asks for, empty for the live one. ``binary``: whether a body may be bytes, not
    only JSON.
    """

    decode: Callable[[bytes, LiveVersion, Mapping[str, str], int], Rows]
    encode: Callable[[Scored, Rows, LiveVersion], Reply]
    version: str = ""
    binary: bool = False
