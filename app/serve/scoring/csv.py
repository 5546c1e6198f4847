"""What SageMaker's built-in XGBoost container speaks: matrix -> CSV, its answer -> scores.

The container checks neither names nor width: a row with too few columns is scored as if the others were missing. So it is only
given whole matrices of the contract's width. A CSV of one column is never sent, for the container guesses the delimiter from the
first row and fails where there is none.

The one surprise: it answers in three shapes. JSON is asked for; containers of before 2022 send one line of commas all the same,
and later ones a line for each row where they are told to.
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
    """A line a row, NULL as an empty field, each number in the shortest text that is this float32 again.

    CallerError for a single column.
    """
    if matrix.shape[1] < 2:
        raise CallerError(
            "the built-in algorithm's container cannot read a CSV of one column; set serving.payload to npy"
        )
    rows = orjson.dumps(np.ascontiguousarray(matrix), option=orjson.OPT_SERIALIZE_NUMPY)
    return rows[2:-2].replace(b"],[", b"\n").replace(b"null", b"")


def decode(answer: bytes) -> Scores:
    """The scores [rows] in an answer of any of the three shapes. ValueError where it is none of them.

    A score beyond a float32 is infinite.
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
