"""``localcloud up``, ``env`` and ``faults``, and the state folder: run as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
import snowflake.connector
from botocore.config import Config

from localcloud.cli import run
from localcloud.errors import CallerError
from localcloud.state import StateFolder, read_environment

_START_S = 120


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("up") / "state"
    with running(state, "--no-keep"):
        yield state
    assert not state.exists()


@contextmanager
def running(state: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Both clouds and a gateway, until the block ends; yields their environment."""
    log = state.parent / "up.log"
    command = [sys.executable, "-m", "localcloud", "up", *arguments, "--state", str(state)]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--gateway-backend", "http://127.0.0.1:1"], stdout=output, stderr=output)
    deadline = time.monotonic() + _START_S
    while "Ctrl-C" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    try:
        yield read_environment(state)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()


@pytest.fixture
def environment(state: Path) -> dict[str, str]:
    return read_environment(state)


def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of ``localcloud``."""
    monkeypatch.setattr(sys, "argv", ["localcloud", *arguments])
    code = run()
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_connector_logs_in_by_the_files_of_the_state_folder(state: Path, environment: dict[str, str]) -> None:
    with snowflake.connector.connect(
        connection_name=environment["SNOWFLAKE_DEFAULT_CONNECTION_NAME"],
        connections_file_path=state / "connections.toml",
    ) as connection:
        context = "CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()"
        row = connection.cursor().execute(f"SELECT {context}").fetchone()
    assert row == ("LOCAL", "ACCOUNTADMIN", "COMPUTE_WH", "LOCAL", "PUBLIC")


def s3(environment: dict[str, str]) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )


def test_faults_reach_the_running_cloud(
    state: Path, environment: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3(environment)
    client.create_bucket(Bucket="faults")
    where = ("--state", str(state))
    added = command(capsys, monkeypatch, "faults", "add", "s3:PutObject", "throttle", "--next", "1", *where)
    assert added[0] == 0, added
    with pytest.raises(botocore.exceptions.ClientError, match="SlowDown"):
        client.put_object(Bucket="faults", Key="a", Body=b"a")
    client.put_object(Bucket="faults", Key="a", Body=b"a")
    code, shown, _ = command(capsys, monkeypatch, "faults", "list", "--json", *where)
    assert code == 0
    assert [(rule["operation"], rule["fired"]) for rule in json.loads(shown)["rules"]] == [("s3:PutObject", 1)]


def test_env_prints_what_a_shell_evaluates(
    state: Path, environment: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown, _ = command(capsys, monkeypatch, "env", "--state", str(state))
    assert code == 0
    assert shown == (state / "env.sh").read_text()
    done = subprocess.run(
        ["/bin/sh", "-c", f"{shown}env"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert environment.items() <= dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line).items()


def test_files_of_the_state_folder_are_readable_by_the_owner_alone(state: Path) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    names = {"env.json", "env.sh", "connections.toml", "key.p8", "control.json"}
    assert {name: stat.S_IMODE((state / name).stat().st_mode) for name in names} == dict.fromkeys(names, 0o600)


def test_a_mistake_is_a_sentence_and_exit_code_2(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = str(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("mine")
    for arguments, said in [
        (("env", "--state", absent), f"error: no local cloud is running in {absent}; start one with `localcloud up`"),
        (("faults", "list", "--state", absent), f"error: no local cloud is running in {absent}"),
        (("up", "--state", str(state)), f"error: a local cloud runs in {state} already"),
        (("up", "--state", str(tmp_path)), f"error: {tmp_path} holds other files"),
        (("up", "--log-level", "loud"), "error: loud is not a log level"),
        (("down",), "No such command"),
    ]:
        code, _, shown = command(capsys, monkeypatch, *arguments)
        assert (code, "Traceback" in shown) == (2, False), shown
        assert said in shown
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_folder_of_a_killed_cloud_is_claimed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    state = tmp_path / "state"
    StateFolder(state).claim()
    (state / "pid").write_text(str(ended.pid))
    (state / "key.p8").write_text("left over")
    again = StateFolder(state)
    again.claim()
    assert sorted(path.name for path in state.iterdir()) == ["pid"]
    with pytest.raises(CallerError, match=r"runs in .* already"):
        StateFolder(state).claim()


@pytest.mark.slow  # the SDK takes seconds to import
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning")
def test_the_sagemaker_sdks_default_session_finds_its_bucket(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    from sagemaker.core.helper.session_helper import Session

    assert Session(boto3.Session()).default_bucket() == "sagemaker-us-east-1-123456789012"


POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
ROLE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def client(environment: dict[str, str], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def ask(environment: dict[str, str], *statements: str) -> Any:
    """The first row of the last statement."""
    with snowflake.connector.connect(
        connection_name=environment["SNOWFLAKE_DEFAULT_CONNECTION_NAME"],
        connections_file_path=Path(environment["SNOWFLAKE_HOME"]) / "connections.toml",
    ) as connection:
        return [connection.cursor().execute(statement).fetchone() for statement in statements][-1]


@pytest.mark.slow  # starts the clouds three times
def test_both_clouds_keep_what_they_hold_until_fresh_forgets_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as first:
        ask(first, "CREATE TABLE KEPT AS SELECT 1 AS X")
        s3, iam, stacks = (client(first, name) for name in ("s3", "iam", "cloudformation"))
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="kept", Key="a/b", Body=b"old")
        put = s3.put_object(Bucket="kept", Key="a/b", Body=b"new", ContentType="text/x", Metadata={"m": "1"})
        s3.put_object(Bucket="kept", Key="deleted", Body=b"x")
        s3.delete_object(Bucket="kept", Key="deleted")
        iam.create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(ROLE))
        iam.put_role_policy(RoleName="kept", PolicyName="p", PolicyDocument=json.dumps(POLICY))
        template = {"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "stacked"}}}}
        stacks.create_stack(StackName="kept", TemplateBody=json.dumps(template))
        s3.put_object(Bucket="stacked", Key="c", Body=b"stacked")
    assert [path.name for path in state.iterdir()] == ["saved"]
    with running(state) as second:
        assert ask(second, "SELECT X FROM KEPT") == (1,)
        s3, iam, stacks = (client(second, name) for name in ("s3", "iam", "cloudformation"))
        found = s3.get_object(Bucket="kept", Key="a/b")
        assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"new", "text/x", {"m": "1"})
        assert found["ETag"] == put["ETag"]
        assert [item["Key"] for item in s3.list_objects_v2(Bucket="kept")["Contents"]] == ["a/b"]
        assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
        assert s3.get_object(Bucket="stacked", Key="c")["Body"].read() == b"stacked"
        assert iam.list_role_policies(RoleName="kept")["PolicyNames"] == ["p"]
        assert [stack["StackName"] for stack in stacks.describe_stacks()["Stacks"]] == ["kept"]
        assert second["AWS_ENDPOINT_URL"] == first["AWS_ENDPOINT_URL"], "objects hold the address"
    with running(state, "--fresh") as third:
        with pytest.raises(snowflake.connector.errors.ProgrammingError, match="KEPT"):
            ask(third, "SELECT X FROM KEPT")
        assert client(third, "s3").list_buckets()["Buckets"] == []


def test_a_killed_cloud_leaves_what_was_saved_before(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state", keep=True)
    folder.claim()
    folder.write_ports({"aws": 1})
    (folder.path / "env.json").write_text("{}")
    (folder.path / "pid").write_text("999999999")  # no such process
    again = StateFolder(tmp_path / "state", keep=True)
    again.claim()
    assert {path.name for path in again.path.iterdir()} == {"saved", "pid"}
    assert again.read_ports() == {"aws": 1}
    again.remove()
    StateFolder(tmp_path / "state", keep=True).claim(fresh=True)
    assert not again.has_saved
    again.remove()
    assert not again.path.exists()
