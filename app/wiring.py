"""The composition root: makes adapters from settings. Only this module chooses the class behind a port."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import settings
from app.errors import CallerError
from app.runs.stage import World
from app.settings import PlatformSettings, ServeSettings, WarehouseSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.deploy.live import LiveVersion
    from app.errors import SnowsageError
    from app.ports import ObjectStore, Warehouse
    from app.serve.process.supervisor import Supervisor
    from app.serve.process.worker_config import WorkerConfig


@contextmanager
def open_world() -> Iterator[World]:
    """All adapters that a run uses; logs out at the end."""
    from app.cloud.aws.hosting import SageMakerHosting
    from app.cloud.aws.s3 import S3Store
    from app.cloud.aws.session import AwsSession
    from app.cloud.aws.training import SageMakerTraining
    from app.cloud.service import ServiceClient

    platform = settings.read(PlatformSettings)
    session = AwsSession()
    with open_warehouse() as warehouse:
        yield World(
            platform=platform,
            warehouse=warehouse,
            store=S3Store(session),
            training=SageMakerTraining(session, platform.execution_role_arn, platform.bucket),
            hosting=SageMakerHosting(session, platform.execution_role_arn),
            service=ServiceClient(platform.api_url, platform.secret.get_secret_value()),
        )


def live_record(model: str) -> LiveVersion | None:
    """The live record of ``model``; None if no version is live, or if the bucket is not set."""
    from app.cloud.aws.s3 import S3Store
    from app.cloud.aws.session import AwsSession
    from app.deploy.live import live_uri, read_live

    bucket = settings.read(settings.LakeSettings).bucket
    return read_live(S3Store(AwsSession()), live_uri(bucket, model)) if bucket else None


def open_store() -> tuple[ObjectStore, str]:
    """S3 alone, and the bucket. Raises CallerError if the bucket is not set."""
    from app.cloud.aws.s3 import S3Store
    from app.cloud.aws.session import AwsSession

    bucket = settings.read(settings.LakeSettings).bucket
    if not bucket:
        raise CallerError("SNOWSAGE_BUCKET is not set. S3 bucket for exports, models and predictions, without s3://")
    return S3Store(AwsSession()), bucket


@contextmanager
def open_warehouse(*, show_values: bool = False) -> Iterator[Warehouse]:
    """Snowflake alone; logs out at the end. ``show_values``: its errors may quote values of rows."""
    from app.cloud.snowflake import SnowflakeWarehouse

    warehouse = SnowflakeWarehouse(settings.read(WarehouseSettings).database, show_values=show_values)
    try:
        yield warehouse
    finally:
        warehouse.close()


def make_service(config: WorkerConfig | None = None) -> tuple[ServeSettings, FastAPI]:
    """The online service and its settings; ``config``: its configuration as one of several workers."""
    from app.cloud.aws.endpoint import SageMakerEndpoint
    from app.cloud.aws.s3 import S3Store
    from app.cloud.aws.session import AwsSession
    from app.serve.application import create_app
    from app.serve.process.peers import Peers
    from app.serve.telemetry.tracing import exporter_from

    serve = settings.read(ServeSettings)
    session = AwsSession()
    # Twice the threads, because in an experiment two versions score in parallel.
    endpoint = SageMakerEndpoint(session, 2 * serve.scorer_threads + serve.chunks_in_flight)
    peers = Peers(config) if config else None
    return serve, create_app(serve, S3Store(session), endpoint, exporter_from(os.environ), peers=peers)


def make_supervisor(
    serve: ServeSettings, count: int, command: Sequence[str], error_kind: Callable[[int], type[SnowsageError]]
) -> Supervisor:
    """The online service as ``count`` workers. Wrong settings raise here, as they would in each worker.

    ``command`` starts a worker; ``error_kind``: the kind of error for its exit code.
    """
    from app.cloud.aws.session import AwsSession
    from app.serve.process.supervisor import Supervisor
    from app.serve.security.credentials import read_credentials
    from app.serve.telemetry.tracing import exporter_from

    AwsSession()
    read_credentials(serve)
    exporter_from(os.environ)
    return Supervisor(serve, count, command, error_kind)
