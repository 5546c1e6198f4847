"""What every engine computes: the features, and their time."""

from __future__ import annotations

from datetime import date, timedelta

#: All orders before this day count.
AS_OF = date(1998, 6, 1)
DAYS = (7, 30, 90)
#: As-of times of the training set, 30 days apart, before that day.
SEVERAL = 6

KEY = "customer_id"
WINDOW_COUNTS = tuple(f"orders_{days}_days" for days in DAYS)
WINDOW_SUMS = tuple(f"spent_{days}_days" for days in DAYS)
#: Compared exactly ...
COUNTS = (*WINDOW_COUNTS, "recency_days", "tenure_days")
#: ... and to 1e-9 of their value, because the order of additions differs. ``average_gap_days`` is NULL for one order.
FLOATS = (
    *WINDOW_SUMS,
    "average_gap_days",
    "spent",
    "average_order",
    "largest_order",
)
TOLERANCE = 1e-9

#: Files of a larger log hold the features of one customer in so many; counts are still summed over all.
ALL_COMPARED, SHARE = 20_000_000, 16


def times() -> list[str]:
    """The as-of times of several slices."""
    return [str(AS_OF - timedelta(days=30 * index)) for index in range(SEVERAL, 0, -1)]


def share(orders: int) -> int:
    """The rows with ``customer_id % share = 0`` are compared one by one."""
    return 1 if orders <= ALL_COMPARED else SHARE
