"""The local AWS in a separate process, with the model on its S3 as ``deploy`` writes it and behind an endpoint.

Run by ``ours``: ``python -m benchmarks.serving.servers.cloud FOLDER ARCHIVE CONTRACT SCORER``. Prints one line of JSON when it is
ready, and ends with its standard input. The endpoint's container is a child of this process; the rest of this process stands
for Amazon's part, so its CPU time is not counted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from app.cloud.aws.hosting import xgboost_image
from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.deploy.live import LiveVersion, ScorerName, live_uri
from app.deploy.plan import CONTAINER_ENVIRONMENT
from app.registry.artifact import sha256_of
from app.train.plan import IMAGE_VERSION
from benchmarks.serving.workload import NAME
from localcloud.aws.server import AwsServer
from sagemaker_entry.contract import Contract

BUCKET, REGION = "snowsage-benchmark", "us-east-1"
VERSION = "1.0"


def main(folder: Path, archive: Path, contract_file: Path, scorer: ScorerName) -> None:
    """Serve until standard input ends."""
    server = AwsServer(work_dir=folder / "aws", host="127.0.0.1", port=0, region=REGION)
    server.start()
    try:
        environment = {
            "AWS_ENDPOINT_URL": server.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        os.environ.update(environment)
        _deploy(archive, Contract.from_dict(json.loads(contract_file.read_text())), scorer)
        print(json.dumps({**environment, "SNOWSAGE_BUCKET": BUCKET}), flush=True)
        sys.stdin.read()
    finally:
        server.stop()


def _deploy(archive: Path, contract: Contract, scorer: ScorerName) -> None:
    session = AwsSession()
    store = S3Store(session)
    session.client("s3").create_bucket(Bucket=BUCKET)
    uri, digest = f"s3://{BUCKET}/{NAME}/model.tar.gz", sha256_of(archive)
    store.write(uri, archive.read_bytes())
    if scorer == "endpoint":
        _host(session, uri)
    live = LiveVersion(
        model=NAME,
        version=VERSION,
        contract=contract,
        endpoint=NAME,
        artifact_uri=uri,
        artifact_sha256=digest,
        scorer=scorer,
    )
    store.write(live_uri(BUCKET, NAME), live.to_json())


def _host(session: AwsSession, uri: str) -> None:
    sagemaker = session.client("sagemaker")
    container = {
        "Image": xgboost_image(REGION, IMAGE_VERSION),
        "ModelDataUrl": uri,
        "Environment": CONTAINER_ENVIRONMENT,
    }
    sagemaker.create_model(
        ModelName=NAME,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/benchmark",
        PrimaryContainer=container,
        EnableNetworkIsolation=True,
    )
    variant = {"VariantName": NAME, "ModelName": NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), "endpoint" if sys.argv[4] == "endpoint" else "embedded"
    )
