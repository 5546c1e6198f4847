"""The features by pandas, from a frame in memory. Amounts are floats, as pandas has no decimals."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from protocol import Commands, serve


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    table = pq.read_table(job["orders"], columns=["customer_id", "order_date", "amount"])
    table = table.set_column(2, "amount", table["amount"].cast(pa.float64()))
    # Days since 1970: pandas has no dates but objects and timestamps.
    orders = table.set_column(1, "day", table["order_date"].cast(pa.int32())).to_pandas()
    del table
    made: dict[str, pd.DataFrame] = {}

    def compute() -> None:
        end = (date.fromisoformat(job["as_of"]) - date(1970, 1, 1)).days
        known = orders[orders["day"] < end]
        grouped = known.groupby("customer_id", sort=False)
        days = grouped["day"].agg(["min", "max"])
        amounts = grouped["amount"].agg(["sum", "max", "count"])
        features = pd.DataFrame({"recency_days": end - days["max"], "tenure_days": end - days["min"]})
        gaps = (amounts["count"] - 1).replace(0, np.nan)
        features["average_gap_days"] = (days["max"] - days["min"]) / gaps
        features["spent"], features["largest_order"] = amounts["sum"], amounts["max"]
        features["average_order"] = amounts["sum"] / amounts["count"]
        for window in job["days"]:
            recent = (
                known[known["day"] >= end - window].groupby("customer_id", sort=False)["amount"].agg(["count", "sum"])
            )
            recent = recent.reindex(features.index, fill_value=0)
            features[f"orders_{window}_days"], features[f"spent_{window}_days"] = recent["count"], recent["sum"]
        made["features"] = features

    def write() -> dict[str, Any]:
        features = made["features"]
        totals = [len(features), *(int(features[name].sum()) for name in job["counts"])]
        features[features.index % job["share"] == 0].reset_index().to_parquet(job["result"], index=False)
        return {"totals": totals}

    return f"pandas {pd.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
