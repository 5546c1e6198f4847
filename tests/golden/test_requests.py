"""Every request to SageMaker for the churn example matches its golden file and is valid in AWS's model of the service.

The boto3 session answers each call before it is sent. botocore checks names, types and required members by then; the tests check
lengths and patterns, which botocore leaves to the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator

from app.cloud.aws.hosting import SageMakerHosting
from app.cloud.aws.session import AwsSession
from app.cloud.aws.training import SDK_CONFIG, SageMakerTraining, trust_configuration
from app.deploy.experiment import plan_experiment
from app.deploy.plan import plan_deploy
from app.ports import EndpointRequest
from app.train.plan import plan_train
from tests.unit import churn

PLAN = plan_deploy(churn.PIPELINE, churn.registered(), [], None, churn.platform())
assert PLAN.endpoint is not None
ENDPOINT = PLAN.endpoint
SWITCHING = plan_deploy(
    churn.PIPELINE, churn.registered(version="1.1", artifact_sha256="7a" * 32), [], PLAN.live, churn.platform()
).endpoint
EXPERIMENT = plan_experiment(
    churn.PIPELINE, churn.registered(version="1.1", artifact_sha256="7a" * 32), PLAN.live, 0.1, churn.platform()
).endpoint
TRAINING = plan_train(churn.PIPELINE, churn.RUN, churn.RUN.uri("lake", "export"), "lake")
#: The name of its first job.
JOB = f"{TRAINING.name_prefix}-1"

Sent = list[tuple[str, dict[str, Any]]]


class Recorder:
    """A session that responds from ``answers`` (operation -> response) and records its calls in ``sent``."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.sent: Sent = []
        self._answers = answers
        self.boto = boto3.Session(aws_access_key_id="x", aws_secret_access_key="y", region_name="eu-central-1")
        self.boto.events.register("provide-client-params", self._keep)
        self.boto.events.register("before-call", self._answer)

    def _keep(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.service_model.service_name == "sagemaker":
            self.sent.append((model.name, params))

    def _answer(self, model: Any, **_: Any) -> Any:
        status = {"ResponseMetadata": {"HTTPStatusCode": 200}}
        answer = self._answers.get(model.name, {})
        code = 400 if "Error" in answer else 200
        return AWSResponse("", code, {}, None), {**status, **answer}


def absent(text: str = 'Could not find endpoint "churn".') -> dict[str, Any]:
    return {"Error": {"Code": "ValidationException", "Message": text}}


def applied(request: EndpointRequest = ENDPOINT, **answers: dict[str, Any]) -> Sent:
    recorder = Recorder(**answers)
    SageMakerHosting(AwsSession(recorder.boto), churn.ROLE).apply(request)
    return recorder.sent


def faults(shape: Shape, value: Any, at: str = "") -> Iterator[str]:
    """The values that violate the lengths and patterns of their shapes."""
    metadata = shape.metadata
    least, most = metadata.get("min", 0), metadata.get("max", 10**9)
    if isinstance(value, str | list | dict) and not least <= len(value) <= most:
        yield f"{at} has length {len(value)}, allowed are {least} to {most}"
    pattern = metadata.get("pattern", "")
    if isinstance(value, str) and pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value):
        yield f"{at} does not match {pattern}"
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            yield from faults(shape.members[name], member, f"{at}.{name}")
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            yield from faults(shape.member, member, f"{at}[{index}]")
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            yield from faults(shape.key, name, f"{at}({name})")
            yield from faults(shape.value, member, f"{at}[{name}]")


def allowed(operation: str, params: dict[str, Any]) -> None:
    model = boto3.Session(region_name="eu-central-1").client("sagemaker").meta.service_model
    shape = model.operation_model(operation).input_shape
    assert ParamValidator().validate(params, shape).generate_report() == ""
    assert list(faults(shape, params)) == []


def as_json(sent: Any) -> str:
    return json.dumps(sent, indent=1, sort_keys=True) + "\n"


def test_requests_of_a_first_deployment_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    sent = applied(DescribeEndpoint=absent())
    assert [name for name, _ in sent] == ["CreateModel", "CreateEndpointConfig", "DescribeEndpoint", "CreateEndpoint"]
    for operation, params in sent:
        allowed(operation, params)
    golden("hosting.json", as_json(sent))


@pytest.mark.parametrize(
    ("status", "config", "last"),
    [
        ("InService", "churn-0-9-00000000", ["UpdateEndpoint"]),
        ("InService", ENDPOINT.config_name, []),
        ("Failed", ENDPOINT.config_name, ["DeleteEndpoint", "CreateEndpoint"]),
    ],
)
def test_requests_of_a_later_deployment_match_the_golden_file(status: str, config: str, last: list[str]) -> None:
    sent = applied(DescribeEndpoint={"EndpointStatus": status, "EndpointConfigName": config})
    assert [name for name, _ in sent] == ["CreateModel", "CreateEndpointConfig", "DescribeEndpoint", *last]
    for operation, params in sent:
        allowed(operation, params)


def test_requests_for_two_versions_on_one_endpoint_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    assert SWITCHING is not None
    sent = applied(SWITCHING, DescribeEndpoint={"EndpointStatus": "InService", "EndpointConfigName": "churn-1-0"})
    assert [name for name, _ in sent].count("CreateModel") == 2
    for operation, params in sent:
        allowed(operation, params)
    golden("hosting-switch.json", as_json(sent))


def test_requests_of_an_experiment_match_the_golden_file(golden: Callable[[str, str], None]) -> None:
    assert EXPERIMENT is not None
    sent = applied(EXPERIMENT, DescribeEndpoint={"EndpointStatus": "InService", "EndpointConfigName": "churn-1-0"})
    for operation, params in sent:
        allowed(operation, params)
    golden("hosting-experiment.json", as_json(sent))


def test_existing_resources_are_not_changed() -> None:
    sent = applied(
        CreateModel=absent("Cannot create already existing model"),
        CreateEndpointConfig=absent("Cannot create already existing endpoint configuration"),
        DescribeEndpoint={"EndpointStatus": "InService", "EndpointConfigName": ENDPOINT.config_name},
    )
    assert [name for name, _ in sent] == ["CreateModel", "CreateEndpointConfig", "DescribeEndpoint"]


def test_requests_that_violate_the_service_model_are_detected() -> None:
    shape = (
        boto3.Session(region_name="eu-central-1")
        .client("sagemaker")
        .meta.service_model.shape_for("CreateEndpointInput")
    )
    assert list(faults(shape, {"EndpointName": "churn-", "EndpointConfigName": "c" * 64}))


def test_the_training_job_plan_matches_the_golden_file(golden: Callable[[str, str], None]) -> None:
    plan = {**asdict(TRAINING), "source_dir": Path(TRAINING.source_dir).name}
    golden("training.json", as_json(plan))


# The SDK imports its own deprecated names, and leaves its temporary folders to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("spot", [False, True])
def test_the_training_job_request_matches_the_golden_file(spot: bool, golden: Callable[[str, str], None]) -> None:
    recorder = Recorder(
        ListBuckets={"Buckets": [{"Name": "lake", "CreationDate": datetime(2026, 1, 1)}]},
        GetCallerIdentity={"Account": "123456789012"},
        CreateTrainingJob={"TrainingJobArn": "arn:aws:sagemaker:eu-central-1:123456789012:training-job/churn"},
        DescribeTrainingJob={"TrainingJobName": "churn", "TrainingJobStatus": "InProgress"},
    )
    SageMakerTraining(AwsSession(recorder.boto), churn.ROLE, "lake").submit(replace(TRAINING, spot=spot), JOB)
    ((operation, params),) = [item for item in recorder.sent if item[0] == "CreateTrainingJob"]
    allowed(operation, params)
    assert params["TrainingJobName"] == JOB
    assert params["EnableNetworkIsolation"] is True
    assert params.get("EnableManagedSpotTraining", False) is spot
    # The SDK puts the current time into the folder of the code.
    masked = re.sub(rf"{JOB.removesuffix('-1')}-\d{{14,}}", "<job>", as_json(params))
    if not spot:
        golden("training_job.json", masked)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_sdk_checks_any_configuration_but_ours_which_is_valid() -> None:
    import jsonschema
    from sagemaker.core.config.config_manager import SageMakerConfig
    from sagemaker.core.config.config_schema import SAGEMAKER_PYTHON_SDK_CONFIG_SCHEMA

    jsonschema.validate(SDK_CONFIG, SAGEMAKER_PYTHON_SDK_CONFIG_SCHEMA)
    trust_configuration()
    trust_configuration()
    SageMakerConfig().validate_sagemaker_config(SDK_CONFIG)
    with pytest.raises(jsonschema.ValidationError):
        SageMakerConfig().validate_sagemaker_config({**SDK_CONFIG, "Unknown": 1})
