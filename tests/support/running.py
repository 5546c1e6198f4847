"""A local cloud and its service as processes of their own, and the command line as a user would type it."""

from __future__ import annotations

import os
import signal
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

import boto3

from app.cloud.snowflake import SnowflakeWarehouse
from app.sql import Statement
from localcloud.errors import LocalCloudError
from localcloud.state import read_environment

ROOT = Path(__file__).parents[2]
START_S = 120


@dataclass(frozen=True)
class Answer:
    """The service's answer."""

    status: int
    text: str


@dataclass(frozen=True)
class Clouds:
    """``environment``: all that a process needs to reach them."""

    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "app", *arguments]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def snowsage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that has to succeed."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def post(self, path: str, body: bytes, secret: str | None = None) -> Answer:
        """What the service says to ``body``."""
        headers = {
            "x-snowsage-secret": secret or self.environment["SNOWSAGE_SECRET"],
            "content-type": "application/json",
        }
        request = urllib.request.Request(f"{self.environment['SNOWSAGE_API_URL']}{path}", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query, asked in this process: starting a command takes seconds."""
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
def local_up(state: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Both clouds, set up, without the service: what a shell needs to reach them; ended at the end."""
    log = state.parent / "up.log"
    with _process(["local", "up", *arguments, "--state", str(state)], dict(os.environ), log) as up:
        _wait(lambda: "SNOWSAGE_EXECUTION_ROLE_ARN" in _environment(state), up, log)
        yield {**os.environ, **_environment(state), "COLUMNS": "160"}


@contextmanager
def running_clouds(state: Path, *pipelines: Path) -> Iterator[Clouds]:
    """Both clouds, set up and seeded, and the service; all ended at the end."""
    with local_up(state, *map(str, pipelines)) as environment:
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
        # A server that got a signal ends by it, once it has drained.
        assert process.wait(60) in (0, -signal.SIGTERM), log.read_text()


def _environment(state: Path) -> dict[str, str]:
    try:
        return read_environment(state)
    except LocalCloudError:
        return {}


def _answers(probe: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(probe, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        assert process.poll() is None, f"ended before it was ready:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready in time:\n{log.read_text()}"
        time.sleep(0.1)
