"""The server's start and stop: one per process, a port in use, keep-alive, nothing left behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localcloud.aws.server import AwsServer
from localcloud.errors import CallerError
from localcloud.tests.waiting import LIMIT_S

from .conftest import Aws

_TWO_RUNS = """
import sys, pathlib, boto3
from localcloud.errors import CallerError
from localcloud.aws.server import AwsServer

folder = pathlib.Path(sys.argv[1])
for run in range(2):
    server = AwsServer(work_dir=folder, region="eu-west-1")
    server.start()
    s3 = boto3.client("s3", endpoint_url=server.endpoint_url, region_name="us-east-1",
                      aws_access_key_id="a", aws_secret_access_key="b")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="of-this-run")
    server.stop()
    s3.close()
taken = int(sys.argv[2])
try:
    AwsServer(work_dir=folder, port=taken).start()
except CallerError as error:
    print(error)
AwsServer(work_dir=folder).stop()
print("left", list(folder.iterdir()))
"""

_RUNNING = """
import pathlib, sys, time
from localcloud.tests.aws.conftest import Aws, BUCKET
from localcloud.aws.server import AwsServer
import boto3

server = AwsServer(work_dir=pathlib.Path(sys.argv[1]))
server.start()
def client(service):
    return boto3.client(service, endpoint_url=server.endpoint_url, region_name="us-east-1",
                        aws_access_key_id="a", aws_secret_access_key="b")
aws = Aws(server.endpoint_url, client, server, server.faults)
aws.s3.create_bucket(Bucket=BUCKET)
aws.start_job("sleeper", "import os, time; print('pid', os.getpid()); time.sleep(300)")
aws.wait_secondary("sleeper", "Training")
aws.deploy("sleeper", "import os\\nprint('pid', os.getpid())\\ndef model_fn(d): pass")
pids = []
while len(pids) < 2:
    time.sleep(0.1)
    lines = [*aws.log_lines("/aws/sagemaker/TrainingJobs", "s"), *aws.log_lines("/aws/sagemaker/Endpoints/sleeper", "A")]
    pids = [line.split()[1] for line in lines if line.startswith("pid")]
server.stop()
print(*pids)
"""


def _python(script: str, *args: object) -> str:
    tests = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent.parent}"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_second_server_in_one_process_is_rejected(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="already runs in this process"):
        AwsServer(work_dir=tmp_path).start()


@pytest.mark.slow
def test_each_run_starts_empty_and_a_port_in_use_is_a_caller_error(aws: Aws, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        output = _python(_TWO_RUNS, tmp_path, port)
    assert output.splitlines() == [
        f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another port or stop what uses it.",
        "left []",
    ]


@pytest.mark.slow
def test_stop_ends_jobs_and_containers(aws: Aws, tmp_path: Path) -> None:
    pids = _python(_RUNNING, tmp_path).split()
    assert len(pids) == 2
    for pid in map(int, pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)
    assert list(tmp_path.iterdir()) == []


def test_connections_are_kept_alive(aws: Aws) -> None:
    connection = http.client.HTTPConnection(urlsplit(aws.url).netloc)
    ports = set()
    for method, path in [("GET", "/"), ("PUT", "/kept-connection"), ("HEAD", "/kept-connection"), ("POST", "/")]:
        connection.request(method, path, body=b"x" * 10_000 if method == "POST" else None)
        connection.getresponse().read()
        assert connection.sock is not None
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1
