"""Snowflake, AWS and an optional API gateway, started together, with the files and variables that clients need to connect."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from localcloud.aws.account import ACCOUNT_ID
from localcloud.aws.gateway.server import ApiGateway
from localcloud.aws.server import AwsServer
from localcloud.faults.control import control_file, control_text
from localcloud.faults.rules import FaultPlan
from localcloud.snowflake.server import SnowflakeServer
from localcloud.state import DEFAULT, StateFolder

HOST = "127.0.0.1"


def free(port: int) -> int:
    """The port if it is free, else 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
    return port


#: Defaults of the SageMaker SDK. Its session looks up the name of its bucket with an STS call to the vendor's address, whatever
#: AWS_ENDPOINT_URL says; a bucket in the settings makes that call unnecessary.
_SDK_SETTINGS = "sagemaker.yaml"


@dataclass(frozen=True)
class Ports:
    """Ports to listen on; 0 takes a free one."""

    snowflake: int = 0
    aws: int = 0
    gateway: int = 0


@dataclass(frozen=True)
class Gateway:
    """An API gateway in front of ``backend_url``. ``injected_headers``: added to each request to the backend."""

    backend_url: str
    injected_headers: Mapping[str, str] = field(default_factory=dict)


class LocalCloud:
    """A Snowflake and an AWS that run while the context is open. Leaving it stops all servers, jobs and endpoints.

    ``state``: folder for key pair, connection file, jobs and endpoints; made at the start, removed at the end.
    ``user`` may log in to Snowflake with the key pair; ``connection``: its name in ``connections.toml``.
    ``database``: the one that Snowflake has at the start. ``hidden_packages``: packages of this Python environment that training
    jobs and endpoints cannot import. ``keep``: save what the clouds hold in the state folder when they stop, and restore what an
    earlier one saved there; ``fresh``: forget that first. ``faults``: rules for requests to any of the servers; empty at the start.

    Raises CallerError for a port or a folder that is in use.
    """

    def __init__(
        self,
        state: Path = DEFAULT,
        ports: Ports = Ports(),  # frozen
        *,
        gateway: Gateway | None = None,
        user: str = "LOCAL",
        connection: str = "localcloud",
        database: str = "LOCAL",
        region: str = "us-east-1",
        hidden_packages: Sequence[str] = (),
        keep: bool = False,
        fresh: bool = False,
    ) -> None:
        self._folder = StateFolder(state, keep=keep)
        self._fresh = fresh
        self._ports = ports
        self._gateway = gateway
        self._user = user
        self._connection = connection
        self._database = database
        self._region = region
        self._hidden_packages = tuple(hidden_packages)
        self._running = contextlib.ExitStack()
        self.faults = FaultPlan()
        #: What a process needs to connect: ``AWS_*`` and ``SNOWFLAKE_*``. Written to ``env.sh`` and ``env.json``, too.
        self.environment: dict[str, str] = {}
        #: The gateway's URL with its stage; empty without a gateway.
        self.gateway_url = ""
        self._snowflake_port = 0
        #: Whether all servers have started. Before that they hold less than was saved, and must not replace it.
        self._complete = False

    @property
    def state(self) -> Path:
        """The state folder, absolute."""
        return self._folder.path

    def __enter__(self) -> LocalCloud:
        self._folder.claim(fresh=self._fresh)
        self._ports = self._kept_ports()
        self._running.callback(self._folder.remove)
        try:
            aws_url = self._start_aws()
            if self._gateway is not None:
                self._start_gateway(self._gateway)
            self._start_snowflake(aws_url)
            self.export(self._connection_variables(aws_url))
            self._keep_ports(aws_url)
            self._complete = True
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def export(self, variables: Mapping[str, str]) -> None:
        """Add variables to the environment that clients get."""
        self.environment.update(variables)
        self._folder.write_environment(self.environment)

    def _kept_ports(self) -> Ports:
        """The ports asked for; 0 takes the one of the cloud that was saved here, whose addresses objects hold, if it is free."""
        found = {"snowflake": 0, "aws": 0, "gateway": 0} | self._folder.read_ports()
        return Ports(
            self._ports.snowflake or free(found["snowflake"]),
            self._ports.aws or free(found["aws"]),
            self._ports.gateway or free(found["gateway"]),
        )

    def _keep_ports(self, aws_url: str) -> None:
        ports = {"snowflake": self._snowflake_port, "aws": urlsplit(aws_url).port or 0}
        if self.gateway_url:
            ports["gateway"] = urlsplit(self.gateway_url).port or 0
        self._folder.write_ports(ports)

    def _start_aws(self) -> str:
        token = secrets.token_urlsafe(24)
        aws = AwsServer(
            work_dir=self.state / "aws",
            host=HOST,
            port=self._ports.aws,
            region=self._region,
            faults=self.faults,
            control_token=token,
            hidden_packages=self._hidden_packages,
            saved=self._folder.saved("aws"),
        )
        aws.start()
        self._running.callback(lambda: aws.stop(save=self._complete))
        self._folder.write(control_file(self.state).name, control_text(aws.endpoint_url, token))
        return aws.endpoint_url

    def _start_gateway(self, wanted: Gateway) -> None:
        gateway = ApiGateway(
            backend_url=wanted.backend_url,
            injected_headers=wanted.injected_headers,
            host=HOST,
            port=self._ports.gateway,
            faults=self.faults,
        )
        gateway.start()
        self._running.callback(gateway.stop)
        self.gateway_url = gateway.url

    def _start_snowflake(self, aws_url: str) -> None:
        snowflake = SnowflakeServer(
            aws_endpoint_url=aws_url,
            public_keys={self._user: self._folder.write_key_pair()},
            host=HOST,
            port=self._ports.snowflake,
            database=self._database,
            faults=self.faults,
            saved=self._folder.saved("snowflake"),
        )
        snowflake.start()
        self._running.callback(lambda: snowflake.stop(save=self._complete))
        self._folder.write_connection(self._connection, self._user, HOST, snowflake.port, self._database)
        self._snowflake_port = snowflake.port

    def _connection_variables(self, aws_url: str) -> dict[str, str]:
        return {
            "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(self._folder.write(_SDK_SETTINGS, _sdk_settings(self._region))),
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SNOWFLAKE_HOME": str(self.state),
            "SNOWFLAKE_DEFAULT_CONNECTION_NAME": self._connection,
        }


def _sdk_settings(region: str) -> str:
    """The SageMaker SDK's settings file, whose YAML may be JSON: the bucket that AWS would give the account, and no telemetry."""
    modules = {"Session": {"DefaultS3Bucket": f"sagemaker-{region}-{ACCOUNT_ID}"}, "TelemetryOptOut": True}
    return json.dumps({"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}}})
