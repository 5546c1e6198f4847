"""``ports.ObjectStore``, ``TrainingService``, ``HostingService`` and ``ScoringEndpoint``, on AWS."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import numpy as np
import pytest

import sagemaker_entry
from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.hosting import SageMakerHosting
from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.cloud.aws.stacks import deploy_stack
from app.cloud.aws.training import SageMakerTraining
from app.deploy.plan import CONTAINER_ENVIRONMENT
from app.errors import Busy, CallerError, NotFound, TransientError
from app.ports import EndpointRequest, EndpointState, Invocation, TrainingJob, TrainingRequest, Variant
from app.registry.artifact import fetched
from app.train.plan import IMAGE_VERSION, MODULE
from sagemaker_entry.model import Model, encode_columns
from tests.entry.channel import CONTRACT, HYPERPARAMETERS, rows, write_channel

# The SDK warns about its own code when it is imported and when its objects are created.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


def test_objects_are_written_read_listed_and_deleted(store: S3Store, place: str, tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1", "c/3"):
        store.write(f"{place}{name}", name.encode())
    assert store.read(f"{place}b/1") == b"b/1"
    store.download(f"{place}a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"a"
    found = store.list_below(place)
    assert [(item.uri.removeprefix(place), item.size_bytes) for item in found] == [
        ("a", 1),
        ("b/1", 3),
        ("b/2", 3),
        ("c/3", 3),
    ]
    assert store.folders(place) == ["b", "c"]
    store.delete_below(f"{place}b/")
    assert [item.uri.removeprefix(place) for item in store.list_below(place)] == ["a", "c/3"]


def test_only_one_of_many_concurrent_writers_creates_an_object(store: S3Store, place: str, session: AwsSession) -> None:
    def create(number: int) -> bool:
        while True:
            try:
                return store.create(f"{place}one", b"%d" % number, {"kind": "scratch"})
            except TransientError:  # S3 may report a concurrent write
                continue

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(create, range(8)))
    assert made.count(True) == 1
    assert store.read(f"{place}one") == b"%d" % made.index(True)
    bucket, _, key = f"{place}one".removeprefix("s3://").partition("/")
    tags = session.client("s3").get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert tags == [{"Key": "kind", "Value": "scratch"}]


def test_an_object_is_replaced_only_over_its_known_version(store: S3Store, place: str) -> None:
    uri = f"{place}versioned"
    first = store.replace(uri, b"1", None)
    assert first is not None
    assert store.replace(uri, b"other", None) is None, "it exists"
    second = store.replace(uri, b"2", first)
    assert second is not None
    assert store.replace(uri, b"other", first) is None, "it has another version"
    found = store.read_versioned(uri)
    assert (found.body, found.etag) == (b"2", second)
    assert 0 <= found.age_s < 300
    assert not store.delete(uri, first)
    assert store.delete(uri, second)
    assert not store.delete(uri, second), "it is gone"
    assert store.replace(uri, b"3", second) is None, "it is gone"
    with pytest.raises(NotFound):
        store.read_versioned(uri)


def test_of_many_concurrent_requests_one_replaces_an_object(store: S3Store, place: str) -> None:
    etag = store.replace(f"{place}one", b"start", None)
    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(lambda number: store.replace(f"{place}one", b"%d" % number, etag), range(8)))
    (winner,) = (number for number, version in enumerate(written) if version is not None)
    assert store.read(f"{place}one") == b"%d" % winner


def test_missing_objects_are_not_found(store: S3Store, place: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="reading"):
        store.read(f"{place}nothing")
    with pytest.raises(NotFound):
        store.download(f"{place}nothing", tmp_path / "x")
    assert store.list_below(place) == []


def test_a_prefix_must_end_with_a_slash(store: S3Store, place: str) -> None:
    with pytest.raises(CallerError, match="must end with a slash"):
        store.delete_below(place.rstrip("/"))
    with pytest.raises(CallerError, match="not an address on S3"):
        store.read("bucket/key")


@pytest.fixture(scope="module")
def training(environment: dict[str, str], session: AwsSession) -> SageMakerTraining:
    return SageMakerTraining(session, environment["SNOWSAGE_EXECUTION_ROLE_ARN"], environment["SNOWSAGE_BUCKET"])


@pytest.fixture(scope="module")
def request_for_training(
    environment: dict[str, str], store: S3Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrainingRequest]:
    folder = write_channel(tmp_path_factory.mktemp("channel"), rows(60))
    root = f"s3://{environment['SNOWSAGE_BUCKET']}/contract/training/"
    for path in folder.rglob("*"):
        if path.is_file():
            store.write(f"{root}channel/{path.relative_to(folder)}", path.read_bytes())
    yield TrainingRequest(
        name_prefix="contract-good",
        image_version=IMAGE_VERSION,
        module=MODULE,
        source_dir=Path(sagemaker_entry.__file__).parent,
        hyperparameters=HYPERPARAMETERS,
        channel_uri=f"{root}channel/",
        output_uri=f"{root}train",  # a folder that the execution role may write
        instance_type="ml.m5.xlarge",
        instance_count=1,
        spot=False,
        max_runtime_s=600,
        metric_regexes={"test:auc": r"test:auc=([-+0-9.eE]+);"},
        tags={"snowsage:pipeline": "contract"},
    )
    store.delete_below(root)


def finished(training: SageMakerTraining, name: str) -> TrainingJob:
    deadline = time.monotonic() + 600
    while (job := training.describe(name)).status == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return job


@pytest.fixture(scope="module")
def trained(training: SageMakerTraining, request_for_training: TrainingRequest) -> TrainingJob:
    assert training.find(request_for_training.name_prefix) is None
    name = f"{request_for_training.name_prefix}-1"
    assert training.submit(request_for_training, name)
    assert not training.submit(request_for_training, name)  # a job of that name exists
    found = training.find(request_for_training.name_prefix)
    assert found is not None
    assert found.name == name
    return finished(training, name)


def test_a_job_trains_and_is_described(trained: TrainingJob, training: SageMakerTraining, session: AwsSession) -> None:
    assert trained.status == "Completed", trained.reason
    assert 0.5 < trained.metrics["test:auc"] <= 1
    assert trained.billable_s is not None
    assert any("test:auc=" in line for line in training.log_tail(trained.name, 50))
    described = session.client("sagemaker").describe_training_job(TrainingJobName=trained.name)
    assert described["EnableNetworkIsolation"] is True
    assert "sagemaker-xgboost:3.2-0" in described["AlgorithmSpecification"]["TrainingImage"]


def test_a_failed_job_has_a_reason_and_log_lines(
    training: SageMakerTraining, request_for_training: TrainingRequest
) -> None:
    bad = replace(request_for_training, name_prefix="contract-bad", hyperparameters={**HYPERPARAMETERS, "max_dept": 1})
    assert training.submit(bad, "contract-bad-1")
    job = finished(training, "contract-bad-1")
    assert job.status == "Failed"
    assert "max_dept: XGBoost has no such hyperparameter; did you mean max_depth?" in job.reason
    assert any("max_dept" in line for line in training.log_tail(job.name, 20))


def test_a_job_that_cannot_start_is_refused_before_it_is_asked_for(
    training: SageMakerTraining, session: AwsSession, environment: dict[str, str]
) -> None:
    training.reach("ml.m5.xlarge", 1, spot=True)
    if "SNOWSAGE_LIVE" not in os.environ:
        with pytest.raises(
            CallerError, match=r'quota "ml\.p4d\.24xlarge for spot training job usage" is 0 and 1 is needed'
        ):
            training.reach("ml.p4d.24xlarge", 1, spot=True)
        with pytest.raises(CallerError, match=r'quota "ml\.m5\.xlarge for training job usage" is 20 and 21 are needed'):
            training.reach("ml.m5.xlarge", 21, spot=False)
    elsewhere = SageMakerTraining(
        session, f"{environment['SNOWSAGE_EXECUTION_ROLE_ARN']}-missing", environment["SNOWSAGE_BUCKET"]
    )
    with pytest.raises(CallerError, match=r"-missing does not exist; set SNOWSAGE_EXECUTION_ROLE_ARN"):
        elsewhere.reach("ml.m5.xlarge", 1, spot=False)


@pytest.mark.skipif("SNOWSAGE_LIVE" in os.environ, reason="an account may have instances with accelerators")
def test_a_job_beyond_the_quota_names_it(training: SageMakerTraining, request_for_training: TrainingRequest) -> None:
    wide = replace(request_for_training, name_prefix="contract-wide", instance_type="ml.p4d.24xlarge")
    with pytest.raises(CallerError, match=r"'ml\.p4d\.24xlarge for training job usage' is 0 Instances"):
        training.submit(wide, "contract-wide-1")


def test_a_missing_job_is_not_found(training: SageMakerTraining) -> None:
    assert training.find("contract-nothing") is None
    with pytest.raises(NotFound):
        training.describe("contract-nothing")
    assert training.log_tail("contract-nothing", 5) == []


@pytest.fixture(scope="module")
def hosting(environment: dict[str, str], session: AwsSession) -> SageMakerHosting:
    return SageMakerHosting(session, environment["SNOWSAGE_EXECUTION_ROLE_ARN"])


@pytest.fixture(scope="module")
def served(hosting: SageMakerHosting, trained: TrainingJob, session: AwsSession) -> Iterator[EndpointRequest]:
    assert trained.artifact_uri is not None
    wanted = EndpointRequest(
        endpoint="contract",
        config_name="contract-1-0",
        variants=(
            Variant("v1", "contract-1-0", IMAGE_VERSION, trained.artifact_uri, CONTAINER_ENVIRONMENT, "ml.m5.large", 1),
        ),
        tags={"snowsage:pipeline": "contract"},
    )
    hosting.apply(wanted)
    state = _settled(hosting)
    assert state.status == "InService", state.reason
    yield wanted
    session.client("sagemaker").delete_endpoint(EndpointName="contract")


@pytest.fixture(scope="module")
def endpoint(session: AwsSession) -> SageMakerEndpoint:
    return SageMakerEndpoint(session, connections=4)


def npy(matrix: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, matrix, allow_pickle=False)
    return buffer.getvalue()


def test_an_endpoint_returns_the_scores_of_the_artefact(
    served: EndpointRequest, endpoint: SageMakerEndpoint, store: S3Store
) -> None:
    columns = rows(60)
    matrix = encode_columns(CONTRACT, {name: columns[name] for name in CONTRACT.names})
    asked = Invocation("contract", npy(matrix), f"application/x-npy; contract={CONTRACT.fingerprint}")
    answer = endpoint.invoke(asked, timeout_s=25)
    assert answer == endpoint.invoke(replace(asked, variant="v1"), timeout_s=25)
    assert answer.variant == "v1"
    with fetched(store, served.variants[0].artifact_uri) as artifact:
        expected = Model.load(artifact.folder).predict(matrix)
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.body)), expected)


def test_applying_a_plan_twice_changes_nothing(served: EndpointRequest, hosting: SageMakerHosting) -> None:
    hosting.apply(served)
    state = hosting.describe("contract")
    assert state is not None
    assert (state.status, state.config_name) == ("InService", "contract-1-0")
    assert hosting.describe("contract-nothing") is None
    assert (hosting.tags("contract"), hosting.tags("contract-nothing")) == (dict(served.tags), None)
    assert isinstance(hosting.log_tail("contract", 5), list)


def test_a_change_of_an_endpoint_that_is_being_changed_is_busy(
    served: EndpointRequest, hosting: SageMakerHosting
) -> None:
    hosting.apply(replace(served, config_name="contract-1-0-again"))
    try:
        with pytest.raises(Busy, match="endpoint contract is being changed"):
            hosting.apply(served)
    finally:
        state = _settled(hosting)
    assert (state.status, state.config_name) == ("InService", "contract-1-0-again")


def _settled(hosting: SageMakerHosting) -> EndpointState:
    deadline = time.monotonic() + 1200
    while (state := hosting.describe("contract")) is None or state.changing:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return state


def test_rejected_requests_are_caller_errors_and_a_missing_endpoint_is_transient(
    served: EndpointRequest, endpoint: SageMakerEndpoint
) -> None:
    asked = Invocation("contract", npy(np.zeros((1, 3), np.float32)), "application/x-npy; contract=0000")
    with pytest.raises(CallerError, match="the endpoint refuses the rows: the payload is made to contract 0000"):
        endpoint.invoke(asked, timeout_s=25)
    with pytest.raises(TransientError, match="endpoint contract-nothing is not in service"):
        endpoint.invoke(replace(asked, endpoint="contract-nothing"), timeout_s=25)
    with pytest.raises(NotFound, match="endpoint contract has no variant v0 any more"):
        endpoint.invoke(replace(asked, variant="v0"), timeout_s=25)


_TEMPLATE = """
Parameters: {Name: {Type: String}}
Resources:
  Bucket: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Ref Name}}
Outputs: {Made: {Value: !Ref Bucket}}
"""


def test_a_stack_is_created_once_and_then_unchanged(session: AwsSession) -> None:
    parameters = {"Name": "snowsage-contract-stack"}
    assert deploy_stack(session, "contract", _TEMPLATE, parameters) == {"Made": "snowsage-contract-stack"}
    assert deploy_stack(session, "contract", _TEMPLATE, parameters) == {"Made": "snowsage-contract-stack"}
    session.client("cloudformation").delete_stack(StackName="contract")


def test_a_missing_region_is_reported(environment: dict[str, str], tmp_path: Path) -> None:
    class NoRegion(boto3.Session):
        @property
        def region_name(self) -> None:  # type: ignore[override]
            return None

    with pytest.raises(CallerError, match="no AWS region is set"):
        AwsSession(NoRegion())
