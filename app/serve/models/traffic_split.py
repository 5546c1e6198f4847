"""The traffic split of an experiment: assigns each entity key to a version, always the same one.

Versions divide the entities by a hash of their keys. The first version takes the lowest hashes, so a challenger whose share grows
keeps the entities that it has. The hash is salted with the model and the compared versions, so experiments are independent of each
other and of the capture sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from app.deploy.live import LiveVersion, Share
from app.serve.codecs.jit.key_hash import Hashes, hashes
from app.serve.rows import Positions
from app.serve.sampling import HASHES


def by_key(live: LiveVersion, keys: Sequence[Any]) -> Positions:
    """The position in ``live.shares`` for each key. NULL is a key like any other."""
    return _positions(live.shares, hashes(keys, _salt(live)))


def by_name(live: LiveVersion, name_hash: int) -> int:
    """The position in ``live.shares`` for a hash from 0 up to ``sampling.HASHES``."""
    return int(_positions(live.shares, np.array([name_hash], dtype=np.uint64))[0])


def _salt(live: LiveVersion) -> str:
    return "\n".join((live.model, *(share.version for share in live.shares)))


def _positions(shares: tuple[Share, ...], found: Hashes) -> Positions:
    return np.searchsorted(_bounds(shares), found, side="right")


@lru_cache(maxsize=64)
def _bounds(shares: tuple[Share, ...]) -> Hashes:
    """The end of each version's hashes, without the last one's."""
    ends = accumulate(share.share for share in shares[:-1])
    return np.array([min(int(end * HASHES), HASHES - 1) for end in ends], dtype=np.uint64)
