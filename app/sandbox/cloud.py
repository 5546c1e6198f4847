"""The product's local cloud: Snowflake, AWS and a gateway to the service, set up by the same ``infra`` files as real accounts."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cloud.aws.session import AwsSession
from app.cloud.aws.stacks import deploy_stack
from app.cloud.infrastructure import STACK, InfraValues, render_sql, template, trust_parameters
from app.sandbox.seed import Seeded, load_seeds
from app.serve.security.credentials import HEADER
from app.spec import PipelineFile
from app.sql import Name, Statement
from localcloud.cloud import HOST, Gateway, LocalCloud, Ports

BUCKET = "snowsage-lake"
CONNECTION = "snowsage-local"
_DATABASE = "SNOWSAGE"
_USER = "SNOWSAGE"

#: Packages of this environment that the container images of training jobs and endpoints do not have.
_HIDDEN_PACKAGES = ("app", "sagemaker_entry")


@contextmanager
def product_cloud(
    state: Path, ports: Ports | None = None, service_port: int = 0, *, keep: bool = False, fresh: bool = False
) -> Iterator[LocalCloud]:
    """The local cloud with the environment for ``snowsage`` commands; not set up yet. ``keep``, ``fresh``: as of ``LocalCloud``.

    ``service_port``: where ``snowsage serve`` will listen. 0 takes a free port now, since the gateway's route needs it.
    """
    secret = secrets.token_urlsafe(24)
    service_port = service_port or _free_port()
    service_url = f"http://{HOST}:{service_port}"
    cloud = LocalCloud(
        state,
        ports or Ports(),
        gateway=Gateway(service_url, {HEADER: secret}),
        user=_USER,
        connection=CONNECTION,
        database=_DATABASE,
        hidden_packages=_HIDDEN_PACKAGES,
        keep=keep,
        fresh=fresh,
    )
    with cloud:
        cloud.export(
            {
                "SNOWFLAKE_CONNECTION_NAME": CONNECTION,
                "SNOWSAGE_BUCKET": BUCKET,
                "SNOWSAGE_GATEWAY_URL": cloud.gateway_url,
                "SNOWSAGE_API_URL": service_url,
                "SNOWSAGE_SERVE_PORT": str(service_port),
                "SNOWSAGE_SECRET": secret,
                "SNOWSAGE_SECRETS": secret,
                # One user waits, and one process serves, so the waits are short.
                "SNOWSAGE_POLL_S": "0.25",
                "SNOWSAGE_LIVE_POLL_S": "0.5",
                "SNOWSAGE_SWITCH_LEAD_S": "2",
                "SNOWSAGE_DRAIN_S": "5",
                "SNOWSAGE_LAME_DUCK_S": "0",
            }
        )
        yield cloud


def set_up(cloud: LocalCloud, pipelines: Iterable[PipelineFile]) -> list[Seeded]:
    """Set up both clouds in the three steps of ``app/cloud/infrastructure.py``, and load the seeds; the tables that have some.

    Afterwards the cloud's environment names the execution role, too.
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
        seeded = [
            table
            for file in pipelines
            for table in load_seeds(file, warehouse, session, BUCKET, Name.parse(values.stage))
        ]
    finally:
        warehouse.close()
    cloud.export({"SNOWSAGE_EXECUTION_ROLE_ARN": outputs["ExecutionRoleArn"]})
    os.environ.update(cloud.environment)
    return seeded


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
