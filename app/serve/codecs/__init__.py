"""Wire formats: a request's bytes to rows, scores to the reply's bytes. No I/O.

Each route has a ``Codec``. It gets the unpacked body, and headers with lower-case names.
"""

from __future__ import annotations

from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.codec import Codec
from app.serve.codecs.jit import json_limits, key_hash, object_reader, positional_reader, reply_writer

SNOWFLAKE = Codec(snowflake.decode, snowflake.encode_reply)
NAMED = Codec(named_rows.decode, named_rows.encode_reply)


def warm() -> None:
    """Compile all compiled code. Takes seconds if no earlier process did it."""
    positional_reader.warm()
    reply_writer.warm()
    object_reader.warm()
    json_limits.warm()
    key_hash.warm()
