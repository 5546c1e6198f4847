"""What every handler of the local AWS shares: names, limits, and clients that call the server itself.

Jobs and endpoints read and write S3 and CloudWatch Logs as any client does, through HTTP to this very server, so that
what they see is what a user sees. The surprise: those clients must not read the user's own AWS configuration.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT = "123456789012"

#: In the User-Agent of requests that the local AWS makes to itself.
OWN_AGENT = "snowsage-local-aws"


@dataclass
class Limits:
    """Times that AWS fixes. They are read at each use, so that a test can shorten one while the server runs.

    ``stop_grace_s``: between SIGTERM and SIGKILL of a stopped training job (AWS: 120).
    ``startup_s``: until an endpoint's container must answer its first ping, where the variant does not say
    (AWS allows 8 minutes). ``invocation_s``: until a container must have answered an invocation (AWS: 60).
    ``capture_s``: between two files of captured data (AWS names no time).
    ``checkpoint_s``: between two copies of a running job's checkpoints to S3 (AWS names no time).
    """

    stop_grace_s: float = 120.0
    checkpoint_s: float = 5.0
    capture_s: float = 5.0
    startup_s: float = 120.0
    invocation_s: float = 60.0


@dataclass(frozen=True)
class Cloud:
    """The account and region that this server plays. ``work_dir`` holds the jobs' and endpoints' directories."""

    region: str
    endpoint_url: str
    work_dir: Path
    limits: Limits = field(default_factory=Limits)
    account: str = ACCOUNT

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a SageMaker resource, such as ``arn("training-job", "x")``."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    @functools.cached_property
    def s3(self) -> Any:
        """An S3 client of this server."""
        return self._client("s3")

    @functools.cached_property
    def logs(self) -> Any:
        """A CloudWatch Logs client of this server."""
        return self._client("logs")

    def close(self) -> None:
        """Close the clients' connections."""
        for name in ("s3", "logs"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def _client(self, service: str) -> Any:
        session = botocore.session.Session()
        # A profile or file named in the user's environment is none of this server's business.
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
