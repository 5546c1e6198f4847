"""The archive for the container of SageMaker's built-in XGBoost algorithm: the booster alone.

That container loads every other file in the archive as another model and returns the mean of all, so it cannot take our own
artefact with its contract and report. It runs the built-in algorithm because the model's environment names no program.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from app.errors import CallerError
from sagemaker_entry.contract import Contract

#: The name of the model's file that the container expects.
_MODEL_FILE = "xgboost-model"


def archive_uri(artifact_uri: str) -> str:
    """The archive's address: below the artefact that it is made of."""
    folder, _, name = artifact_uri.rpartition("/")
    return f"{folder}/built-in/{name}"


def archive(model: Path) -> bytes:
    """A ``model.tar.gz`` with the booster in the file ``model``; the same bytes each time."""
    body = io.BytesIO()
    with gzip.GzipFile(fileobj=body, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        item = tarfile.TarInfo(_MODEL_FILE)
        item.size = model.stat().st_size
        with model.open("rb") as file:
            tar.addfile(item, file)
    return body.getvalue()


def refuse_narrow(contract: Contract) -> None:
    """Raise CallerError for a contract with one feature: the container guesses the delimiter, and one column has none."""
    if len(contract.names) < 2:
        raise CallerError(
            "serving.payload: the built-in algorithm's container cannot read a CSV of one column, and the model has one feature; "
            "write npy"
        )
