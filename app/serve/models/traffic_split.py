"""Which version of an experiment answers which row: an entity's key -> always the same one.

Versions share the entities by a hash of their keys. The first version takes the lowest hashes, so that a challenger whose share
grows keeps the entities that it has. The hash is salted with the model and the versions that are compared, so that experiments
say nothing of each other, nor of the sample that capture takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from app.deploy.live import LiveVersion, Share
from app.serve.codecs.jit.key_hash import Hashes, hashes
from app.serve.rows import Places
from app.serve.sampling import HASHES


def by_key(live: LiveVersion, keys: Sequence[Any]) -> Places:
    """The position in ``live.shares`` for each key. NULL is a key as any other."""
    return _places(live.shares, hashes(keys, _salt(live)))


def by_name(live: LiveVersion, name_hash: int) -> int:
    """The position in ``live.shares`` for what has this hash, from 0 up to ``chance.HASHES``."""
    return int(_places(live.shares, np.array([name_hash], dtype=np.uint64))[0])


def _salt(live: LiveVersion) -> str:
    return "\n".join((live.model, *(share.version for share in live.shares)))


def _places(shares: tuple[Share, ...], found: Hashes) -> Places:
    return np.searchsorted(_bounds(shares), found, side="right")


@lru_cache(maxsize=64)
def _bounds(shares: tuple[Share, ...]) -> Hashes:
    """Where each version's hashes end, but for the last one's."""
    ends = accumulate(share.share for share in shares[:-1])
    return np.array([min(int(end * HASHES), HASHES - 1) for end in ends], dtype=np.uint64)
