"""The emulated AWS account: region, limits, and clients that call the server itself.

Jobs and endpoints read and write S3 and CloudWatch Logs through HTTP, so that they see what any client sees.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT_ID = "123456789012"

#: Part of the User-Agent of requests that the local AWS sends to itself.
OWN_AGENT = "localcloud-aws"


@dataclass
class Limits:
    """Times, in seconds. They are read at each use, so a test can shorten one while the server runs.

    ``stop_grace_s``: from SIGTERM to SIGKILL of a stopped training job (AWS: 120).
    ``startup_s``: limit for the first healthy ping of an inference container, where the variant sets none (AWS: 8 minutes).
    ``invocation_s``: limit for an invocation's response (AWS: 60).
    ``capture_s``: interval between two files of captured data (AWS documents none).
    ``checkpoint_s``: interval between two copies of a running job's checkpoints to S3 (AWS documents none).
    """

    stop_grace_s: float = 120.0
    checkpoint_s: float = 5.0
    capture_s: float = 5.0
    startup_s: float = 120.0
    invocation_s: float = 60.0


@dataclass(frozen=True)
class Account:
    """One account in one region.

    ``work_dir``: holds the directories of jobs and endpoints. ``hidden_packages``: packages of this Python environment that code
    in containers cannot import unless it was uploaded with the job or the model. ``clock``: seconds, for training jobs' limits.
    """

    region: str
    endpoint_url: str
    work_dir: Path
    limits: Limits = field(default_factory=Limits)
    id: str = ACCOUNT_ID
    hidden_packages: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a SageMaker resource, such as ``arn("training-job", "x")``."""
        return f"arn:aws:sagemaker:{self.region}:{self.id}:{kind}/{name.lower()}"

    @property
    def s3(self) -> Any:
        """An S3 client of this server."""
        return self.client("s3")

    @property
    def logs(self) -> Any:
        """A CloudWatch Logs client of this server."""
        return self.client("logs")

    def close(self) -> None:
        """Close the clients' connections."""
        for client in self._clients.values():
            client.close()

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        session = botocore.session.Session()
        # These clients ignore the AWS profile and files that the user's environment names.
        session.session_var_map["profile"] = (None, [], None, None)
        session.set_config_variable("config_file", os.devnull)
        session.set_config_variable("credentials_file", os.devnull)
        return boto3.session.Session(
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 (the local AWS checks no signature)
            region_name=self.region,
            botocore_session=session,
        ).client(
            service,  # type: ignore[call-overload]  # the stubs list every service by name
            endpoint_url=self.endpoint_url,
            config=Config(
                user_agent_extra=OWN_AGENT,
                proxies={},
                max_pool_connections=20,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path"},
            ),
        )
