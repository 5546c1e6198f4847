"""Training, validation and test parts: by time, with a gap of one label horizon between them, or by entity.

A label of time ``t`` depends on what happens in ``[t, t + horizon)``. Without the gap, a training row's label would depend on
events that are among a validation row's features, and the measured quality would be too good.

Rows without time are split by entity: by a hash of its key, so that it keeps its part in every training, or in an order drawn by
a seed, with exact shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class SplitError(ValueError):
    """The dates do not leave rows for every part."""


@dataclass(frozen=True)
class Split:
    """The ``as_of`` times of each part, ascending. ``unused``: those in a gap."""

    train: tuple[datetime, ...]
    validation: tuple[datetime, ...]
    test: tuple[datetime, ...]
    unused: tuple[datetime, ...]


def part_of(key: str, validation: float, test: float) -> str:
    """The part of an entity, ``train``, ``validation`` or ``test``, by a hash of its key as text. Shares are expected values."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    return "test" if position < test else "validation" if position < test + validation else "train"


def random_parts(count: int, seed: int, validation: float, test: float) -> npt.NDArray[np.str_]:
    """The part of each of ``count`` entities, which are sorted by key. Shares are exact, rounded, at least one entity each.

    The entities are ordered by the numbers that PCG64 of ``seed`` draws for them: numpy promises the same numbers in every version,
    which it does not for its own permutations. The first of this order are the test part, the next the validation part. Raises
    SplitError if no entity is left for training.
    """
    import numpy as np  # not above: the pipeline file is read without it

    order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
    tested, validated = (max(1, round(share * count)) for share in (test, validation))
    if tested + validated >= count:
        raise SplitError(f"{count} entities leave none for training once the test and validation parts are cut")
    parts = np.full(count, "train", dtype="<U10")
    parts[order[:tested]] = "test"
    parts[order[tested : tested + validated]] = "validation"
    return parts


def split_by_time(times: Iterable[datetime], horizon: timedelta, validation: float, test: float) -> Split:
    """Cut distinct ``times`` into parts: the latest for test, before them validation, the earliest for training.

    ``validation`` and ``test`` are shares of the number of times, rounded, at least one time each. At least one ``horizon``
    separates the last time of a part from the first of the next. Raises SplitError for an empty part.
    """
    ordered = sorted(set(times))
    test_part = ordered[-_count(test, ordered) :]
    before_test = _ending_before(ordered, test_part, horizon)
    validation_part = before_test[-_count(validation, ordered) :]
    train_part = _ending_before(before_test, validation_part, horizon)
    if not (train_part and validation_part and test_part):
        raise SplitError(
            f"{len(ordered)} as-of times leave no training rows once the test part, the validation part and the gaps of "
            f"one label horizon ({horizon.days} days) between them are cut"
        )
    used = {*train_part, *validation_part, *test_part}
    unused = tuple(time for time in ordered if time not in used)
    return Split(tuple(train_part), tuple(validation_part), tuple(test_part), unused)


def fills_all_parts(count: int, every: timedelta, horizon: timedelta, validation: float, test: float) -> bool:
    """Whether ``count`` times, ``every`` apart, leave rows for every part. More may fail where fewer succeed, since shares are
    rounded.
    """
    start = datetime(2000, 1, 1)  # only differences count here
    try:
        split_by_time((start + every * step for step in range(count)), horizon, validation, test)
    except SplitError:
        return False
    return True


def times_needed(every: timedelta, horizon: timedelta, validation: float, test: float) -> int:
    """The smallest number of times, ``every`` apart, that fills all three parts."""
    # Two gaps of a horizon are between the first and the last time, so fewer times are not enough.
    count = max(3, 2 * -(-horizon // every) + 1)
    while not fills_all_parts(count, every, horizon, validation, test):
        count += 1
    return count


def _count(share: float, ordered: list[datetime]) -> int:
    return max(1, round(share * len(ordered)))


def _ending_before(ordered: list[datetime], part: list[datetime], horizon: timedelta) -> list[datetime]:
    return [time for time in ordered if part and time + horizon <= part[0]]
