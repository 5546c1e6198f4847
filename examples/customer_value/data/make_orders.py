"""Writes ``orders.parquet``: the orders of one in ten customers of the churn example, each with an invented product category.

The purchase log names no products. A customer has one to three of the six categories here, drawn with a fixed seed, and each of
their orders is in one of these; so the column shows how distinct values become a feature, and says little about later spend.

    python examples/customer_value/data/make_orders.py
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SOURCE = Path(__file__).parents[2] / "churn/data/orders.parquet"
CATEGORIES = ("BLUES", "CLASSICAL", "COUNTRY", "JAZZ", "POP", "ROCK")
ONE_IN, SEED = 10, 1997


def make_orders() -> pa.Table:
    """The orders of every customer whose number is divisible by ``ONE_IN``, with the column ``category``."""
    orders = pq.read_table(SOURCE)
    customer = orders["customer_id"]
    # Arrow has no modulo: what is left of the number after the whole multiples.
    rest = pc.subtract(customer, pc.multiply(pc.divide(customer, ONE_IN), ONE_IN))
    sampled = orders.filter(pc.equal(rest, 0))
    draw = random.Random(SEED)  # noqa: S311  # no secret
    liked: dict[int, list[str]] = {}
    categories = []
    for each in sampled["customer_id"].to_pylist():
        if each not in liked:
            liked[each] = draw.sample(CATEGORIES, draw.choice((1, 2, 2, 3)))
        categories.append(draw.choice(liked[each]))
    return sampled.append_column("category", pa.array(categories))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("orders.parquet")
    pq.write_table(make_orders(), target, compression="zstd")
