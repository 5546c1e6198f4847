"""Wire formats: a request's bytes -> rows, scores -> the answer's bytes. Pure.

A route answers in one of them, a ``Form``. The body comes unpacked, the headers with lower-case names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.deploy.live import LiveVersion
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.jit import json_limits, key_hash, object_reader, positional_reader, reply_writer
from app.serve.rows import Reply, Rows, Scored


@dataclass(frozen=True)
class Form:
    """One format, both ways. Both raise CallerError, whose text names what is wrong and never a value.

    ``version``: the one that the request asks for, empty for whatever is live. ``binary``: whether a body may be bytes, not only
    JSON.
    """

    decode: Callable[[bytes, LiveVersion, Mapping[str, str]], Rows]
    encode: Callable[[Scored, Rows, LiveVersion], Reply]
    version: str = ""
    binary: bool = False


SNOWFLAKE = Form(snowflake.decode, snowflake.encode_reply)
NAMED = Form(named_rows.decode, named_rows.encode_reply)


def warm() -> None:
    """Compile all that is compiled. Takes seconds where no earlier process did it."""
    positional_reader.warm()
    reply_writer.warm()
    object_reader.warm()
    json_limits.warm()
    key_hash.warm()
