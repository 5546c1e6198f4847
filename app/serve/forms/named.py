"""The direct API's format: rows by column name -> rows; scores -> predictions with the version that gave them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.forms.body import parse_array
from app.serve.forms.columns import decode_objects, no_rows
from app.serve.rows import Reply, Rows, Scored


def decode(body: bytes, live: LiveVersion, _: Mapping[str, str]) -> Rows:
    """``{"rows": [{"COLUMN": value, ...}, ...]}`` -> rows in order.

    Every feature must be there in every row; the entity's key may be. A name that the contract does not have as it is
    written is tried in upper case. Raises CallerError that names what is wrong, never a value.
    """
    rows = parse_array(body, "rows")
    if not rows:
        return no_rows(live)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise CallerError(f"row {number} must be an object of column names and values")
    return decode_objects(live, rows, key_required=False, fold_case=True)


def encode_reply(scored: Scored, _: Rows, live: LiveVersion) -> Reply:
    """``{"model": ..., "version": ..., "predictions": [...]}`` in the order of the rows."""
    predictions = scored.scores.astype(np.float64).tolist()
    return Reply(orjson.dumps({"model": live.model, "version": live.version, "predictions": predictions}))
