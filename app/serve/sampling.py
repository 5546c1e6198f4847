"""Sampling by hash: the same name is always in the sample or never, in every process."""

from __future__ import annotations

import random

import xxhash

#: Hashes are below this number.
HASHES = 2**64


def sampled(name: bytes, share: float) -> bool:
    """Whether ``name`` is in a sample of ``share`` (0 to 1) of all names. An empty name is sampled at random."""
    if not name:
        return random.random() < share  # noqa: S311  # a sample, no secret
    return xxhash.xxh3_64_intdigest(name) < share * HASHES
