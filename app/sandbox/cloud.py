"""The local cloud: a Snowflake, an AWS and an API gateway on this machine, set up by the same infrastructure files as real ones.

``LocalCloud`` starts and stops the three servers; :func:`set_up` runs ``infra`` against them and loads seeds. What a shell needs to
reach them is in :attr:`LocalCloud.environment`, and in ``env.sh`` in the state folder.

The one surprise: the service's port is chosen here, before there is a service, because the gateway must know where to send.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cloud.aws.session import AwsSession
from app.cloud.aws.stacks import deploy_stack
from app.cloud.infrastructure import STACK, InfraValues, render_sql, template, trust_parameters
from app.errors import CallerError
from app.sandbox.seed import load_seeds
from app.serve.security.credentials import HEADER
from app.spec import PipelineFile
from app.sql import Name, Statement
from localcloud.aws.gateway.server import ApiGateway
from localcloud.aws.server import AwsServer
from localcloud.faults.control import control_file, control_text
from localcloud.faults.rules import FaultPlan
from localcloud.snowflake.server import SnowflakeServer

HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "snowsage-lake"
USER = "SNOWSAGE"
CONNECTION = "snowsage-local"

#: Where `local up` keeps its key, its connection file and its jobs, below the working folder.
STATE = Path(".snowsage/local")


@dataclass(frozen=True)
class Ports:
    """Ports to listen on; 0 means a free one."""

    snowflake: int = 0
    aws: int = 0
    gateway: int = 0
    service: int = 0


class LocalCloud:
    """Both clouds, running. Use it as a context manager: at its end all servers, jobs and endpoints have stopped.

    ``faults``: what requests to any of the three servers meet; empty at start.
    """

    def __init__(self, state: Path = STATE, ports: Ports = Ports()) -> None:  # frozen
        self.state = state.resolve()
        self._ports = ports
        self._running = contextlib.ExitStack()
        self.environment: dict[str, str] = {}
        self.faults = FaultPlan()

    def __enter__(self) -> LocalCloud:
        _claim(self.state)
        self._running.callback(_forget, self.state)
        try:
            self.environment = self._start()
        except BaseException:
            self._running.close()
            raise
        _write_environment(self.state, self.environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _start(self) -> dict[str, str]:
        secret = secrets.token_urlsafe(24)
        token = secrets.token_urlsafe(24)
        service_port = self._ports.service or _free_port()
        aws = AwsServer(
            work_dir=self.state / "aws",
            host=HOST,
            port=self._ports.aws,
            region=REGION,
            faults=self.faults,
            control_token=token,
            hidden_packages=("app", "sagemaker_entry"),
        )
        aws.start()
        _write_private(control_file(self.state), control_text(aws.endpoint_url, token))
        self._running.callback(aws.stop)
        service_url = f"http://{HOST}:{service_port}"
        gateway = ApiGateway(
            backend_url=service_url,
            injected_headers={HEADER: secret},
            host=HOST,
            port=self._ports.gateway,
            faults=self.faults,
        )
        gateway.start()
        self._running.callback(gateway.stop)
        public_key = _write_key(self.state)
        snowflake = SnowflakeServer(
            aws_endpoint_url=aws.endpoint_url,
            public_keys={USER: public_key},
            host=HOST,
            port=self._ports.snowflake,
            faults=self.faults,
        )
        snowflake.start()
        self._running.callback(snowflake.stop)
        _write_connection(self.state, snowflake.port)
        return {
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SNOWFLAKE_HOME": str(self.state),
            "SNOWFLAKE_CONNECTION_NAME": CONNECTION,
            "SNOWSAGE_BUCKET": BUCKET,
            "SNOWSAGE_GATEWAY_URL": gateway.url,
            "SNOWSAGE_API_URL": service_url,
            "SNOWSAGE_SERVE_PORT": str(service_port),
            "SNOWSAGE_SECRET": secret,
            "SNOWSAGE_SECRETS": secret,
            # One person waits here, and one process serves.
            "SNOWSAGE_POLL_S": "0.25",
            "SNOWSAGE_LIVE_POLL_S": "0.5",
            "SNOWSAGE_SWITCH_LEAD_S": "2",
            "SNOWSAGE_DRAIN_S": "5",
            "SNOWSAGE_LAME_DUCK_S": "0",
        }


def set_up(cloud: LocalCloud, pipelines: Iterable[PipelineFile]) -> None:
    """Set up both clouds as one sets up two accounts, in the three steps of ``app/cloud/infrastructure.py``, and load the seeds.

    Afterwards the cloud's environment names the execution role too.
    """
    from app.cloud.snowflake import SnowflakeWarehouse

    os.environ.update(cloud.environment)
    session = AwsSession()
    outputs = deploy_stack(session, STACK, template(), {"BucketName": BUCKET})
    values = InfraValues(
        bucket=BUCKET,
        storage_role_arn=outputs["StorageRoleArn"],
        api_role_arn=outputs["ApiRoleArn"],
        gateway_url=cloud.environment["SNOWSAGE_GATEWAY_URL"],
    )
    warehouse = SnowflakeWarehouse(None, cloud.environment)
    try:
        for text in render_sql(values).values():
            warehouse.run_script(text)
        integrations = (values.storage_integration, values.api_integration)
        described = [
            warehouse.run(Statement(f"DESCRIBE INTEGRATION {Name.parse(name).sql}")).rows for name in integrations
        ]
        warehouse.run(Statement(f"USE DATABASE {Name.parse(values.database).sql}"))
        deploy_stack(session, STACK, template(), {"BucketName": BUCKET, **trust_parameters(*described)})
        for file in pipelines:
            load_seeds(file, warehouse, session, BUCKET, Name.parse(values.stage))
    finally:
        warehouse.close()
    cloud.environment["SNOWSAGE_EXECUTION_ROLE_ARN"] = outputs["ExecutionRoleArn"]
    os.environ.update(cloud.environment)
    _write_environment(cloud.state, cloud.environment)


def read_environment(state: Path) -> dict[str, str]:
    """What ``local up`` in another process wrote. Raises CallerError where none is running there."""
    path = state / "env.json"
    if not path.is_file():
        raise CallerError(f"no local cloud is running in {state}; start one with `snowsage local up`")
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _claim(state: Path) -> None:
    """Take the state folder for this process; what a killed one left there is removed."""
    pid = state / "pid"
    if pid.is_file() and _alive(int(pid.read_text())):
        raise CallerError(
            f"a local cloud runs in {state} already (process {pid.read_text()}); stop it, or choose another --state"
        )
    if state.exists() and not pid.is_file() and any(state.iterdir()):
        raise CallerError(f"{state} holds other files, which would be removed at the end; choose another --state")
    _forget(state)
    state.mkdir(parents=True, mode=0o700)
    pid.write_text(str(os.getpid()))


def _forget(state: Path) -> None:
    shutil.rmtree(state, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _write_key(state: Path) -> str:
    """A new key pair for the local user: the private key into the state folder, the public key returned as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(state / "key.p8", private.decode())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def _write_connection(state: Path, port: int) -> None:
    lines = [
        f"[{CONNECTION}]",
        'account = "LOCAL"',
        f'user = "{USER}"',
        'authenticator = "SNOWFLAKE_JWT"',
        f"private_key_file = {json.dumps(str(state / 'key.p8'))}",
        f'host = "{HOST}"',
        f"port = {port}",
        'protocol = "http"',
    ]
    _write_private(state / "connections.toml", "\n".join(lines) + "\n")


def _write_environment(state: Path, environment: Mapping[str, str]) -> None:
    _write_private(state / "env.json", json.dumps(environment, indent=1))
    _write_private(
        state / "env.sh", "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items())
    )


def _write_private(path: Path, text: str) -> None:
    """Readable by its owner alone, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
