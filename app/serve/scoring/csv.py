"""The CSV format of SageMaker's built-in XGBoost container: encodes requests, decodes responses.

The container checks neither names nor width: a row with too few columns is scored as if the others were missing. So it only gets
whole matrices of the contract's width. A CSV with one column is never sent, because the container guesses the delimiter from the
first row and fails if there is none.

The container answers in three forms: JSON, which is requested; one line of commas from versions before 2022; a line for each row
from later versions that are configured so.
"""

from __future__ import annotations

import numpy as np
import orjson

from app.errors import CallerError
from app.serve.rows import Scores
from sagemaker_entry.model import Matrix

CONTENT_TYPE, ACCEPT = "text/csv", "application/json"

#: The longest text of a float32, such as -1.17549435e-38, and its comma.
MAX_VALUE_BYTES = 16


def encode(matrix: Matrix) -> bytes:
    """One line a row, NULL as an empty field, each number in the shortest text that reads as the same float32.

    Raises CallerError for a single column.
    """
    if matrix.shape[1] < 2:
        raise CallerError(
            "the built-in algorithm's container cannot read a CSV of one column; set serving.payload to npy"
        )
    rows = orjson.dumps(np.ascontiguousarray(matrix), option=orjson.OPT_SERIALIZE_NUMPY)
    return rows[2:-2].replace(b"],[", b"\n").replace(b"null", b"")


def decode(answer: bytes) -> Scores:
    """The scores [rows] of a response in any of the three forms. Raises ValueError for any other.

    A score beyond the range of float32 becomes infinite.
    """
    text = answer.strip()
    if text.startswith(b"{"):
        try:
            values = [row["score"] for row in orjson.loads(text)["predictions"]]
        except (TypeError, KeyError) as error:
            raise ValueError("no score in a prediction") from error
        if not set(map(type, values)) <= {float, int}:
            raise ValueError("a score that is no number")
    else:
        values = [float(value) for value in text.replace(b"\n", b",").split(b",")]
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(np.float32)
