"""A registered artefact -> the archive that the container of SageMaker's built-in XGBoost algorithm takes: the booster, alone.

That container loads every file beside the model as another model and answers with their mean, so that our own artefact, with its
contract and its report, is none to it.

The one surprise: what decides that it runs its own algorithm is that the model's environment names no program.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from app.errors import CallerError
from sagemaker_entry.contract import Contract

#: The name that the container gives a model of its own.
_MODEL_FILE = "xgboost-model"


def archive_uri(artifact_uri: str) -> str:
    """Where the archive lies: below the artefact that it is made of."""
    folder, _, name = artifact_uri.rpartition("/")
    return f"{folder}/built-in/{name}"


def archive(model: Path) -> bytes:
    """A ``model.tar.gz`` of the booster in the file ``model``; the same bytes each time."""
    body = io.BytesIO()
    with gzip.GzipFile(fileobj=body, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        item = tarfile.TarInfo(_MODEL_FILE)
        item.size = model.stat().st_size
        with model.open("rb") as file:
            tar.addfile(item, file)
    return body.getvalue()


def refuse_narrow(contract: Contract) -> None:
    """Raise CallerError where the container could not read the rows: it guesses the delimiter, and one column has none."""
    if len(contract.names) < 2:
        raise CallerError(
            "serving.payload: the built-in algorithm's container cannot read a CSV of one column, and the model has one feature; "
            "write npy"
        )
