"""The SageMaker SDK's HyperparameterTuner runs the entry code on the local AWS."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sagemaker_entry
from localcloud.tests.aws.conftest import BUCKET, IMAGE, ROLE, Aws, running_aws, unpack
from localcloud.tests.waiting import wait_for
from tests.entry.channel import HYPERPARAMETERS, rows, write_channel

pytestmark = [
    pytest.mark.slow,
    # The SDK's generated sources contain invalid escapes; Python 3.12 reports them as SyntaxWarning.
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning"),
    # Its ModelTrainer imports its own deprecated shim.
    pytest.mark.filterwarnings(r"ignore:sagemaker\.train\.\w+ has been moved:DeprecationWarning"),
    # It leaves its temporary folder of code to the garbage collector.
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]

# The toolkit runs only modules in the top folder, so this one calls the package.
_MAIN = """
import sys
from sagemaker_entry.train import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws"), hidden_packages=("app", "sagemaker_entry")) as found:
        yield found


@pytest.fixture
def trainer(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
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

    def make(name: str, script: str, **hyperparameters: Any) -> Any:
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
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=10),
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/{name}"),
            hyperparameters=hyperparameters,
        )

    yield make
    # Collect garbage here, where the warning about the SDK's temporary folders is filtered; in a later test it would be an error.
    gc.collect()


@pytest.fixture(scope="module")
def data(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_channel(tmp_path_factory.mktemp("channel"), rows(60))
    for path in folder.rglob("*"):
        if path.is_file():
            aws.s3.upload_file(str(path), BUCKET, f"tuner/data/{path.relative_to(folder).as_posix()}")
    return f"s3://{BUCKET}/tuner/data/"


def test_the_tuner_runs_the_entry_code(aws: Aws, trainer: Callable[..., Any], data: str) -> None:
    from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
    from sagemaker.train.configs import InputData
    from sagemaker.train.tuner import HyperparameterTuner

    static = {name: value for name, value in HYPERPARAMETERS.items() if name != "max_depth"}
    tuner = HyperparameterTuner(
        model_trainer=trainer("tuner", _MAIN, **static),
        objective_metric_name="validation:auc",
        objective_type="Maximize",
        metric_definitions=[{"Name": "validation:auc", "Regex": r"validation:auc=([0-9.]+);"}],
        hyperparameter_ranges={
            "max_depth": IntegerParameter(1, 6),
            "eta": ContinuousParameter(0.01, 1.0, scaling_type="Logarithmic"),
        },
        strategy="Bayesian",
        random_seed=3,
        max_jobs=2,
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
    assert [child["TrainingJobStatus"] for child in children] == ["Completed"] * 2
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
