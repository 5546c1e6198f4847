"""The churn example as values: one run and the result of each stage."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

from app import spec
from app.export.manifest import Export, ExportedFile
from app.features.observe import label_view
from app.features.store import Slice
from app.features.training_set import FeatureSet
from app.ports import ColumnType
from app.registry.versions import RegisteredVersion
from app.runs.identity import Run
from app.settings import PlatformSettings
from app.train.result import TrainedModel
from sagemaker_entry.contract import Column, Contract

FOLDER = Path(__file__).parents[2] / "examples" / "churn"
BUCKET = "lake"
ROLE = "arn:aws:iam::123456789012:role/snowsage-sagemaker"
KNOWN_AT = datetime(1998, 7, 1, 6, 30)

FILE = spec.load(FOLDER)
PIPELINE = FILE.pipeline
RUN = Run("churn", "19980701-0a1b2c3d", date(1998, 7, 1), KNOWN_AT)

#: The columns of the two views and the label, as Snowflake describes them.
ORDERS = tuple(
    ColumnType(name, "number")
    for name in (
        *(
            "CUSTOMER_ID",
            "TOTAL_SPENT",
            "ORDER_COUNT",
            "AVERAGE_VALUE",
            "DAYS_SINCE_LAST_ORDER",
            "DAYS_SINCE_FIRST_ORDER",
        ),
        *("SPENT_30_DAYS", "SPENT_90_DAYS", "SPENT_180_DAYS", "RFM_SCORE"),
    )
)
RHYTHM = tuple(
    ColumnType(name, "number") for name in ("CUSTOMER_ID", "AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS")
)
LABEL = (ColumnType("CUSTOMER_ID", "number"), ColumnType("CHURNED", "number"))
SOURCE = (
    ColumnType("ORDER_ID", "number"),
    ColumnType("CUSTOMER_ID", "number"),
    ColumnType("ORDER_DATE", "time"),
    ColumnType("AMOUNT", "number"),
)
#: The event times of all sources, one column for each.
EVENT_TIMES = (ColumnType("orders", "time"),)

CONTRACT = Contract(
    tuple(Column(column.name) for column in (*ORDERS[1:], *RHYTHM[1:])), key=("CUSTOMER_ID",), label="CHURNED"
)


def feature_set() -> FeatureSet:
    """The result of features."""
    times = PIPELINE.training_times(RUN.as_of)
    views = [
        ("CUSTOMER_ORDERS", (*times, RUN.as_of)),
        ("CUSTOMER_RHYTHM", (*times, RUN.as_of)),
        (label_view(PIPELINE), times),
    ]
    return FeatureSet(
        contract=CONTRACT.to_dict(),
        view_columns={
            "CUSTOMER_ORDERS": tuple(column.name for column in ORDERS[1:]),
            "CUSTOMER_RHYTHM": tuple(column.name for column in RHYTHM[1:]),
        },
        booleans=(),
        label_view=label_view(PIPELINE),
        slices=tuple(Slice(view, 1, as_of, KNOWN_AT, 1000) for view, all_of in views for as_of in all_of),
        training_as_of=times,
        scoring_as_of=RUN.as_of,
    )


def export() -> Export:
    """The result of export."""
    uri = RUN.uri(BUCKET, "export")
    files = (ExportedFile("data/data_0_0_0.snappy.parquet", 12000, 3_400_000),)
    return Export(uri, CONTRACT.to_dict(), 12000, files, ("CUSTOMER_ID", "AS_OF"))


def trained() -> TrainedModel:
    """The result of train."""
    job = f"churn-{RUN.id}-20260101120000"
    metrics = {"validation:auc": 0.8, "test:auc": 0.81, "test:logloss": 0.42}
    return TrainedModel(job, f"s3://{BUCKET}/churn/{RUN.id}/train/{job}/output/model.tar.gz", metrics, 62)


def report(auc: float = 0.81, single: float = 0.79) -> dict[str, Any]:
    """The fields of a training report that the registry reads."""
    return {
        "metric": "auc",
        "metrics": {"validation": {"auc": 0.8}, "test": {"auc": auc, "logloss": 0.42}},
        "single_column": {"column": "DAYS_SINCE_LAST_ORDER", "metric": "auc", "value": single},
        "single_columns": {
            "auc": [{"column": "DAYS_SINCE_LAST_ORDER", "metric": "auc", "value": single}],
            "logloss": [{"column": "RFM_SCORE", "metric": "logloss", "value": 0.5}],
        },
    }


def registered(**changes: Any) -> RegisteredVersion:
    """The result of registry."""
    fields: dict[str, Any] = {
        "model": "churn",
        "version": "1.0",
        "run_id": RUN.id,
        "stage": "candidate",
        "contract": CONTRACT.to_dict(),
        "report": report(),
        "verdict": ("passed: auc 0.8100 (minimum 0.75)",),
        "training_job": trained().job,
        "artifact_uri": trained().artifact_uri,
        "artifact_sha256": "5e" * 32,
    }
    return RegisteredVersion(**{**fields, **changes})


def baseline(contract: Contract = CONTRACT) -> dict[str, Any]:
    """A frozen baseline with two edges for each number, so statements are short."""
    return {
        "fingerprint": contract.fingerprint,
        "rows": 1000,
        "features": [
            {
                "name": column.name,
                "edges": [] if column.categories else [1.0, 2.5],
                "categories": list(column.categories),
                "shares": [0.5, 0.25, 0.15],
                "null_share": 0.1,
            }
            for column in contract.columns
        ],
    }


def platform() -> PlatformSettings:
    """Settings as ``infra`` prints them."""
    return PlatformSettings(
        bucket=BUCKET,
        execution_role_arn=ROLE,
        stage="SNOWSAGE.ML.LAKE",
        gateway_url="https://abc123.execute-api.eu-central-1.amazonaws.com/prod/",
        api_url="http://127.0.0.1:8080",
        secret="correct-horse",
        poll_s=0.001,
        endpoint_timeout_s=5,
    )


def archive(**files: Any) -> bytes:
    """A model.tar.gz with these JSON files: ``contract={...}`` becomes ``contract.json``."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        for name, value in files.items():
            data = json.dumps(value).encode()
            item = tarfile.TarInfo(f"{name}.json")
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return body.getvalue()


def packed(folder: Path) -> tuple[bytes, str]:
    """(bytes, SHA-256) of a model.tar.gz of the files in ``folder``."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return body.getvalue(), hashlib.sha256(body.getvalue()).hexdigest()
