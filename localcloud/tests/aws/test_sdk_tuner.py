"""The SageMaker SDK's HyperparameterTuner and its drivers on several hosts, around the entry code that ships."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sagemaker_entry
from localcloud.tests.waiting import wait_for
from tests.entry.channel import HYPERPARAMETERS, rows, write_channel

from .conftest import BUCKET, IMAGE, ROLE, Aws

pytestmark = [
    pytest.mark.slow,
    # The SDK's generated sources hold such literals; Python 3.12 calls the same a SyntaxWarning.
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning"),
    # Its ModelTrainer imports its own deprecated shim.
    pytest.mark.filterwarnings(r"ignore:sagemaker\.train\.\w+ has been moved:DeprecationWarning"),
    # It leaves its temporary folder of code to the garbage collector.
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]

# The toolkit runs a module of the top folder only, so the package needs a door.
_DOOR = """
import sys
from sagemaker_entry.train import main
sys.exit(main(sys.argv[1:]))
"""
_HOSTS = """
import os
print(os.environ["SM_CURRENT_HOST"], os.environ["SM_HOSTS"], os.environ["SM_MASTER_ADDR"], os.environ["SM_HOST_COUNT"])
"""


@pytest.fixture
def trainer(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A ModelTrainer over a folder of code whose script is ``main.py``."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }.items():
        monkeypatch.setenv(name, value)
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.shapes import OutputDataConfig
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, SourceCode

    def make(name: str, script: str, hosts: int = 1, **hyperparameters: Any) -> Any:
        folder = tmp_path / "code"
        package = Path(sagemaker_entry.__file__).parent
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "main.py").write_text(script)
        return ModelTrainer(
            training_image=IMAGE,
            role=ROLE,
            sagemaker_session=Session(default_bucket=BUCKET),
            base_job_name=name,
            source_code=SourceCode(source_dir=str(folder), entry_script="main.py"),
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=hosts, volume_size_in_gb=10),
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/{name}"),
            hyperparameters=hyperparameters,
        )

    return make


@pytest.fixture(scope="module")
def data(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_channel(tmp_path_factory.mktemp("channel"), rows(60))
    for path in folder.rglob("*"):
        if path.is_file():
            aws.s3.upload_file(str(path), BUCKET, f"tuner/data/{path.relative_to(folder).as_posix()}")
    return f"s3://{BUCKET}/tuner/data/"


def test_the_tuner_drives_the_entry_code(
    aws: Aws, trainer: Callable[..., Any], data: str, unpack: Callable[[bytes], dict[str, bytes]]
) -> None:
    from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
    from sagemaker.train.configs import InputData
    from sagemaker.train.tuner import HyperparameterTuner

    static = {name: value for name, value in HYPERPARAMETERS.items() if name != "max_depth"}
    tuner = HyperparameterTuner(
        model_trainer=trainer("tuner", _DOOR, **static),
        objective_metric_name="validation:auc",
        objective_type="Maximize",
        metric_definitions=[{"Name": "validation:auc", "Regex": r"validation:auc=([0-9.]+);"}],
        hyperparameter_ranges={
            "max_depth": IntegerParameter(1, 6),
            "eta": ContinuousParameter(0.01, 1.0, scaling_type="Logarithmic"),
        },
        strategy="Bayesian",
        random_seed=3,
        max_jobs=6,
        max_parallel_jobs=2,
    )
    tuner.tune(
        [InputData(channel_name="train", data_source=data, content_type="application/x-parquet")],
        job_name="sdk-tuner",
        wait=False,
    )
    job: dict[str, Any] = wait_for(
        lambda: aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="sdk-tuner"),
        lambda found: found["HyperParameterTuningJobStatus"] != "InProgress",
    )
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    children = aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="sdk-tuner", SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    assert [child["TrainingJobStatus"] for child in children] == ["Completed"] * 6
    best = tuner.best_training_job()
    assert best == children[0]["TrainingJobName"]
    described = aws.sagemaker.describe_training_job(TrainingJobName=best)
    key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    report = json.loads(unpack(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["report.json"])
    tuned = children[0]["TunedHyperParameters"]
    assert report["hyperparameters"]["max_depth"] == int(tuned["max_depth"])
    assert report["hyperparameters"]["eta"] == float(tuned["eta"])
    value = children[0]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert report["metrics"]["validation"]["auc"] == pytest.approx(value, abs=1e-6)
    assert [(m["MetricName"], m["Value"]) for m in described["FinalMetricDataList"]] == [("validation:auc", value)]


def test_the_drivers_know_every_host(aws: Aws, trainer: Callable[..., Any]) -> None:
    made = trainer("sdk-hosts", _HOSTS, hosts=2)
    made.train(wait=False, logs=False)
    name = made._latest_training_job.training_job_name
    job = aws.finish_job(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in ("algo-1", "algo-2"):
        lines = aws.log_lines("/aws/sagemaker/TrainingJobs", f"{name}/{host}-")
        assert f'{host} ["algo-1", "algo-2"] algo-1 2' in lines
