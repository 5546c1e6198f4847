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
from pathlib import Path

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
    log = state.parent / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "localcloud",
                "up",
                "--state",
                str(state),
                "--gateway-backend",
                "http://127.0.0.1:1",
            ],
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + _START_S
    while "Ctrl-C" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    yield state
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()
    assert not state.exists()


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
        row = connection.cursor().execute("SELECT CURRENT_USER(), CURRENT_DATABASE(), CURRENT_SCHEMA()").fetchone()
    assert row == ("LOCAL", "LOCAL", "PUBLIC")


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
