"""Orders grown from the real log of ``examples/churn``.

The rule: the log is copied; each copy's customers and orders get new numbers, its dates are shifted by a number of days, and its
amounts are multiplied by a factor. Both are the same for the whole copy, drawn with a seed, so a copy keeps the rhythm of every
customer; the first copy is the log itself. The last copy is cut to the number of orders. The file is in the order of dates, as a
table that is appended to has it, so a customer's orders are far apart.

In a *busy* log the copies' customers keep their numbers: they are few, and have many orders a day, as shops or machines have.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

SEED = 1997
#: Days by which a copy is shifted, at most, and the least and the greatest factor of its amounts.
DAYS, FACTORS = 28, (0.8, 1.25)

LOG = Path(__file__).parents[2] / "examples/churn/data/orders.parquet"


def draw(copies: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The days and the factor of each copy."""
    chance = np.random.default_rng(SEED)
    days, factors = chance.integers(-DAYS, DAYS + 1, copies), chance.uniform(*FACTORS, copies).round(4)
    days[0], factors[0] = 0, 1.0
    return days, factors


def grow(orders: int, target: Path, log: Path = LOG, *, busy: bool = False) -> None:
    """Write a file of ``orders`` orders. An existing file is kept: it is the same."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as duck:
        duck.execute("CREATE TABLE log AS SELECT * FROM read_parquet(?)", [str(log)])
        [(rows, customers)] = duck.execute("SELECT max(order_id), max(customer_id) FROM log").fetchall()
        days, factors = draw(-(-orders // rows))
        copies = {"copy": np.arange(len(days)), "days": days, "factor": factors}
        duck.register("copies", copies)
        part = target.with_suffix(".part")
        duck.execute(
            f"""COPY (
                SELECT copy * {rows} + order_id AS order_id, copy * {0 if busy else customers} + customer_id AS customer_id,
                    order_date + days::INTEGER AS order_date, quantity, (amount * factor)::DECIMAL(10, 2) AS amount
                FROM log, copies WHERE copy * {rows} + order_id <= {orders}
                ORDER BY order_date, order_id
            ) TO '{part}' (FORMAT parquet, COMPRESSION snappy)"""
        )
    part.rename(target)
