"""Writes ``customers.parquet``: an invented telephone company's customers as one table without time.

``python examples/snapshot/data/generate.py`` writes the same rows on every machine: all of them follow from ``SEED``.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED, ROWS = 20240701, 2000
#: The day on which the table was taken.
TAKEN = date(2024, 7, 1)

CONTRACTS = ("Month-to-month", "One year", "Two year")
INTERNET = ("DSL", "Fiber optic", "No")
PAYMENTS = ("Bank transfer", "Credit card", "Electronic check", "Mailed check")
REASONS = ("Moved", "Price", "Service", "Competitor")


def customers() -> pa.Table:
    """One row for each customer. Newcomers have no label yet; of leavers, and only of them, the reason is known."""
    chance = np.random.default_rng(SEED)
    tenure = np.minimum(chance.gamma(1.1, 28.0, ROWS).astype(int), 72)
    contract = np.clip(chance.normal(tenure / 36, 0.7, ROWS).round(), 0, 2).astype(int)
    internet = chance.choice(3, ROWS, p=[0.35, 0.44, 0.21])
    payment = chance.choice(4, ROWS, p=[0.22, 0.22, 0.34, 0.22])
    monthly = (18 + 30 * (internet < 2) + 24 * (internet == 1) + chance.normal(0, 9, ROWS)).clip(15).round(2)
    senior = chance.random(ROWS) < 0.16
    support_calls = chance.poisson(0.6 + 0.9 * (internet == 1))
    margin = (
        -1.1 - 0.035 * tenure - 1.3 * contract + 0.9 * (internet == 1) + 0.7 * (payment == 2)
        + 0.35 * senior + 0.45 * support_calls + 0.012 * (monthly - 60) + chance.normal(0, 0.5, ROWS)
    )  # fmt: skip
    left = chance.random(ROWS) < 1 / (1 + np.exp(-margin))
    known = (tenure > 0) & (chance.random(ROWS) > 0.01)
    signup = [
        TAKEN - timedelta(days=int(months) * 30 + int(day))
        for months, day in zip(tenure, chance.integers(0, 30, ROWS), strict=True)
    ]
    return pa.table(
        {
            "customer_id": [
                f"{number:04d}-{''.join(chance.choice(list('ABCDEFGHKLMNPRSTUVWXYZ'), 5))}" for number in range(ROWS)
            ],
            "signup_date": pa.array(signup, pa.date32()),
            "tenure_months": tenure,
            "senior": senior,
            "contract": np.array(CONTRACTS)[contract],
            "internet": np.array(INTERNET)[internet],
            "payment": _with_missing(chance, np.array(PAYMENTS)[payment], 0.04),
            "region": _with_missing(chance, chance.choice(["north", "east", "south", "west"], ROWS), 0.08),
            "support_calls": support_calls,
            "monthly_charges": monthly,
            "total_charges": _with_missing(chance, (monthly * tenure).round(2), 0.02),
            "cancel_reason": [
                REASONS[reason] if gone else None for gone, reason in zip(left, chance.choice(4, ROWS), strict=True)
            ],
            "churn": [("Yes" if gone else "No") if sure else None for gone, sure in zip(left, known, strict=True)],
        }
    )


def _with_missing(chance: np.random.Generator, values: np.ndarray, share: float) -> pa.Array:
    return pa.array(values, mask=chance.random(len(values)) < share)


if __name__ == "__main__":
    pq.write_table(customers(), Path(__file__).with_name("customers.parquet"), compression="zstd")
