"""SageMaker training with the SDK's ModelTrainer: implements ``ports.TrainingService``.

The SDK stays inside this module, which works around five of its habits. It sends telemetry unless the session's configuration
forbids it. It names jobs by a prefix and the time, so the request that it prepares is sent with another name. It ships the
content of a folder without the folder, so the package is put into a folder. Only a ``command`` makes the entry code process 1,
which gets SIGTERM; the hyperparameters are then in ``SM_HPS``. It checks the whole schema of its configuration each time that it
reads a value of it.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.cloud.aws.account import refuse_missing_role, refuse_small_quota
from app.cloud.aws.hosting import xgboost_image
from app.cloud.aws.logs import log_tail
from app.cloud.aws.session import AwsSession, translated
from app.ports import TrainingJob, TrainingRequest

SDK_CONFIG = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class SageMakerTraining:
    """Training jobs under one execution role. ``bucket``: where the SDK stages code."""

    def __init__(self, session: AwsSession, role_arn: str, bucket: str) -> None:
        self._session = session
        self._role_arn = role_arn
        self._bucket = bucket
        self._client = session.client("sagemaker")

    def reach(self, instance_type: str, count: int, *, spot: bool) -> None:
        refuse_missing_role(self._session, self._role_arn)
        refuse_small_quota(self._session, instance_type, count, "spot training job" if spot else "training job")

    def find(self, name_prefix: str) -> TrainingJob | None:
        with translated(f"looking for training jobs of {name_prefix}"):
            answer = self._client.list_training_jobs(
                NameContains=name_prefix, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
            )
        names = [item["TrainingJobName"] for item in answer["TrainingJobSummaries"]]
        mine = [name for name in names if name.startswith(f"{name_prefix}-")]
        return self.describe(mine[0]) if mine else None

    def describe(self, name: str) -> TrainingJob:
        with translated(f"reading the state of training job {name}"):
            job = self._client.describe_training_job(TrainingJobName=name)
        return TrainingJob(
            name=name,
            status=job["TrainingJobStatus"],
            phase=job.get("SecondaryStatus", job["TrainingJobStatus"]),
            reason=job.get("FailureReason", ""),
            artifact_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
            billable_s=job.get("BillableTimeInSeconds"),
            metrics={item["MetricName"]: float(item["Value"]) for item in job.get("FinalMetricDataList", [])},
        )

    def log_tail(self, name: str, lines: int) -> list[str]:
        return log_tail(self._session, LOG_GROUP, f"{name}/", lines)

    def submit(self, request: TrainingRequest, name: str) -> bool:
        with translated(f"starting training job {name}"), _package(request.source_dir) as folder:
            trainer = self._trainer(request, folder)
            from sagemaker.train.configs import InputData

            channel = InputData(
                channel_name="train", data_source=request.channel_uri, content_type="application/x-parquet"
            )
            # ``train`` would choose the name. This is the same request, with the code uploaded.
            sent = trainer._create_training_job_args(input_data_config=[channel], boto3=True)
            try:
                self._client.create_training_job(**{**sent, "TrainingJobName": name})
            except self._client.exceptions.ResourceInUse:
                return False  # names are unique: a job of this name was started before
            return True

    def _trainer(self, request: TrainingRequest, folder: Path) -> Any:
        # The SDK would ask STS at its public host whether it runs under a role. The role is given here.
        os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.shapes import MetricDefinition, OutputDataConfig, StoppingCondition, Tag
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import Compute, Networking, SourceCode

        _quieten()
        trust_configuration()
        image = xgboost_image(self._session.region, request.image_version)
        limit = request.max_runtime_s
        trainer = ModelTrainer(
            training_image=image,
            role=self._role_arn,
            base_job_name=request.name_prefix,
            # The code goes next to the job's output, not into a folder at the top of the bucket.
            input_s3_key_prefix=request.output_uri.removeprefix(f"s3://{self._bucket}/"),
            sagemaker_session=Session(
                boto_session=self._session.boto, default_bucket=self._bucket, sagemaker_config=SDK_CONFIG
            ),
            source_code=SourceCode(source_dir=str(folder), command=f"exec python3 -m {request.module}"),
            compute=Compute(
                instance_type=request.instance_type,
                instance_count=request.instance_count,
                volume_size_in_gb=30,
                enable_managed_spot_training=request.spot,
            ),
            networking=Networking(enable_network_isolation=True, enable_inter_container_traffic_encryption=False),
            stopping_condition=StoppingCondition(
                max_runtime_in_seconds=limit, max_wait_time_in_seconds=2 * limit if request.spot else None
            ),
            output_data_config=OutputDataConfig(s3_output_path=request.output_uri),
            hyperparameters=dict(request.hyperparameters),
            tags=[Tag(key=key, value=value) for key, value in request.tags.items()],
        )
        metrics = [MetricDefinition(name=name, regex=regex) for name, regex in request.metric_regexes.items()]
        return trainer.with_metric_definitions(metrics)


def _quieten() -> None:
    """Limits the SDK's logging to errors. It sets levels and handlers of its own when its modules are imported."""
    for name in list(logging.root.manager.loggerDict):
        if name == "sagemaker" or name.startswith("sagemaker."):
            logging.getLogger(name).setLevel(logging.ERROR)


def trust_configuration() -> None:
    """Skips the SDK's check of the configuration that this module gives it: ten checks take seconds. It checks any other."""
    from sagemaker.core.config.config_manager import SageMakerConfig

    check = SageMakerConfig.validate_sagemaker_config
    if hasattr(check, "trusted"):
        return

    def check_another(sagemaker_config: dict[str, Any] | None = None) -> None:
        if sagemaker_config != SDK_CONFIG:
            check(sagemaker_config)

    check_another.trusted = SDK_CONFIG  # type: ignore[attr-defined]
    SageMakerConfig.validate_sagemaker_config = staticmethod(check_another)


@contextmanager
def _package(source_dir: Path) -> Iterator[Path]:
    """A folder that holds the package ``source_dir`` and nothing else."""
    with tempfile.TemporaryDirectory(prefix="snowsage-code-") as folder:
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(source_dir, Path(folder) / source_dir.name, ignore=ignored)
        yield Path(folder)
