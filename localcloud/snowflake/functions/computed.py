"""Functions that DuckDB lacks and SQL cannot express: Python computes them, one column at a time."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from localcloud.snowflake.failures import REFUSAL
from localcloud.snowflake.functions.moments.written_formats import ISO_TEXT, iso_text
from localcloud.snowflake.sessions.connection import DuckConnection

#: ``(value, bits)``: the digest of a text or binary in hexadecimal digits.
SHA2 = "localcloud_sha2"
_DIGESTS = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}


def register(duck: DuckConnection) -> None:
    """Create the functions in the account's DuckDB, where every session finds them."""
    duck.create_function(ISO_TEXT, _iso_texts, ["VARCHAR", "VARCHAR"], "VARCHAR")
    duck.create_function(SHA2, _digests, ["BLOB", "BIGINT"], "VARCHAR")


def _iso_texts(texts: pa.ChunkedArray, formats: pa.ChunkedArray) -> pa.Array:
    pairs = zip(texts.to_pylist(), formats.to_pylist(), strict=True)
    return pa.array([iso_text(text, written) for text, written in pairs], pa.string())


def _digests(values: pa.ChunkedArray, bits: pa.ChunkedArray) -> pa.Array:
    pairs = zip(values.to_pylist(), bits.to_pylist(), strict=True)
    return pa.array([_digest(value, size) for value, size in pairs], pa.string())


def _digest(value: Any, bits: int | None) -> str | None:
    if value is None or bits is None:
        return None
    if bits not in _DIGESTS:
        raise ValueError(f"{REFUSAL}SHA2 of {bits} bits, only 0, 224, 256, 384 and 512.")
    return hashlib.new(_DIGESTS[bits], value).hexdigest()
