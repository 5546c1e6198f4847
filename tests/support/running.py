"""A local cloud and its service as separate processes, and the commands of a user."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from app.cloud.snowflake import SnowflakeWarehouse
from app.sql import Statement
from localcloud.errors import LocalCloudError
from localcloud.state import read_environment
from tests.support.commands import ROOT, run_command

#: Timeouts that only a hanging process reaches.
START_S = 900
COMMAND_S = 1800


@dataclass(frozen=True)
class Answer:
    """The service's response."""

    status: int
    text: str


@dataclass(frozen=True)
class Clouds:
    """Running clouds. ``environment``: all environment variables of a process that connects to them."""

    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "app", *arguments]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, because a new one spends seconds on imports. Returns any exit code."""
        return run_command(self.environment, *arguments)

    def attempt_process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a new process. Returns any exit code."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def snowsage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process. Fails the test if the command fails."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def post(self, path: str, body: bytes, secret: str | None = None) -> Answer:
        """The service's response to ``body``."""
        headers = {
            "x-snowsage-secret": secret or self.environment["SNOWSAGE_SECRET"],
            "content-type": "application/json",
        }
        request = urllib.request.Request(f"{self.environment['SNOWSAGE_API_URL']}{path}", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=START_S) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        warehouse = SnowflakeWarehouse("SNOWSAGE", self.environment)
        try:
            return warehouse.run(Statement(statement)).rows
        finally:
            warehouse.close()

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


@contextmanager
def local_up(state: Path, *arguments: str, keep: bool = False) -> Iterator[dict[str, str]]:
    """Both clouds, set up, without the service. Yields the environment of a shell that connects to them.

    SIGTERM ends them; no process and no file of theirs may be left.
    """
    log = state.parent / "up.log"
    with _process(
        ["local", "up", *arguments, "--state", str(state), *([] if keep else ["--no-keep"])], dict(os.environ), log
    ) as up:
        _wait(lambda: "SNOWSAGE_EXECUTION_ROLE_ARN" in _environment(state), up, log)
        environment = _environment(state)
        yield {**os.environ, **environment, "COLUMNS": "160"}
    left = [path.name for path in state.iterdir()] if state.exists() else []
    assert left == (["saved"] if keep else []), "the clouds left processes or files behind"
    for url in ("AWS_ENDPOINT_URL", "SNOWSAGE_GATEWAY_URL"):
        assert not _listens(environment[url]), f"{url} is still served"


@contextmanager
def running_clouds(state: Path, *pipelines: Path, keep: bool = False) -> Iterator[Clouds]:
    """Both clouds, set up and seeded, and the service; all stopped at the end."""
    with local_up(state, *map(str, pipelines), keep=keep) as environment:
        clouds = Clouds(environment)
        with _process(["serve"], clouds.environment, state.parent / "serve.log") as service:
            probe = urllib.request.Request(
                f"{clouds.environment['SNOWSAGE_API_URL']}/v2/health/ready",
                headers={"x-snowsage-secret": clouds.environment["SNOWSAGE_SECRET"]},
            )
            _wait(lambda: _answers(probe), service, state.parent / "serve.log")
            yield clouds


@contextmanager
def _process(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments], env=environment, cwd=ROOT, stdout=words, stderr=words
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        # The server drains, then ends by the signal that it received.
        assert process.wait(START_S) in (0, -signal.SIGTERM), log.read_text()


def _environment(state: Path) -> dict[str, str]:
    try:
        return read_environment(state)
    except LocalCloudError:
        return {}


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((str(address.hostname), int(address.port or 0)), START_S).close()
    except ConnectionRefusedError:
        return False
    return True


def _answers(probe: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(probe, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        assert process.poll() is None, f"ended before it was ready:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready in time:\n{log.read_text()}"
        time.sleep(0.1)
