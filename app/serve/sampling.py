"""A share of things, told by a hash of their name: the same name is always chosen or never, in every process."""

from __future__ import annotations

import random

import xxhash

#: Hashes lie from 0 up to here.
HASHES = 2**64


def chosen(name: bytes, share: float) -> bool:
    """Whether ``name`` is among the ``share`` (0 to 1) of all names. What has no name is chosen by chance."""
    if not name:
        return random.random() < share  # noqa: S311  # a sample, no secret
    return xxhash.xxh3_64_intdigest(name) < share * HASHES
