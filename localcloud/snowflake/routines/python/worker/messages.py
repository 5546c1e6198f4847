"""Wire format between server and worker: a JSON header and an Arrow body, each preceded by its length.

Reading at the end of the stream, or a truncated message, gives ``None``.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import pyarrow as pa

_LENGTHS = struct.Struct("<IQ")
Message = tuple[dict[str, Any], bytes]


def write(stream: BinaryIO, header: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


def read(stream: BinaryIO) -> Message | None:
    """The next message; ``None`` at the end of the stream, also within a message."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header, body = _LENGTHS.unpack(lengths)
    text, content = stream.read(header), stream.read(body)
    if len(text) < header or len(content) < body:
        return None
    return json.loads(text), content


def packed(columns: list[pa.Array]) -> bytes:
    """Columns as an Arrow stream with one batch; no columns give no bytes."""
    if not columns:
        return b""
    batch = pa.RecordBatch.from_arrays(columns, names=[str(index) for index in range(len(columns))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpacked(body: bytes) -> list[pa.Array]:
    if not body:
        return []
    with pa.ipc.open_stream(body) as reader:
        return list(reader.read_next_batch().columns)
