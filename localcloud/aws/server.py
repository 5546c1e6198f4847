"""The local AWS server, which clients reach through ``AWS_ENDPOINT_URL``. Stopping it removes all its state.

moto keeps its state in the process, so a process runs one :class:`AwsServer` at a time. Servers in different processes are
independent of each other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import botocore.session
from botocore.exceptions import ProfileNotFound
from moto.core.config import default_user_config
from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localcloud.aws.account import Account, Limits
from localcloud.aws.cloudformation.service import SERVICE as CLOUDFORMATION
from localcloud.aws.http.faults import FaultMiddleware
from localcloud.aws.http.protocol import Environ, StartResponse, WsgiApp
from localcloud.aws.http.routing import Router
from localcloud.aws.http.server import HttpServer
from localcloud.aws.iam.service import SERVICE as IAM
from localcloud.aws.s3 import bucket_policies
from localcloud.aws.sagemaker.service import SageMaker
from localcloud.errors import CallerError
from localcloud.faults.control import FaultControl
from localcloud.faults.rules import FaultPlan, Kind, Target
from localcloud.log import event

_log = logging.getLogger(__name__)

# moto's backends belong to the process.
_in_process = threading.Lock()


class AwsServer:
    """An AWS on ``host:port`` for one account (123456789012) and region.

    ``work_dir``: directory for running jobs and endpoints. ``port``: 0 takes a free one; ``port`` and ``endpoint_url`` are known
    once :meth:`start` has returned. ``limits``: AWS's times, for tests to shorten. ``faults``: rules for requests; with a
    ``control_token`` they can be set over HTTP as well. ``hidden_packages``: packages of this Python environment that jobs and
    endpoints cannot import unless their code was uploaded. ``clock``: seconds, for the limits of training jobs.
    """

    def __init__(
        self,
        *,
        work_dir: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str = "us-east-1",
        limits: Limits | None = None,
        faults: FaultPlan | None = None,
        control_token: str = "",
        hidden_packages: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self.endpoint_url = ""
        self.faults = faults or FaultPlan()
        self._host = host
        self._region = region
        self._work_dir = work_dir.resolve()
        self._limits = limits or Limits()
        self._control_token = control_token
        self._hidden_packages = tuple(hidden_packages)
        self._clock = clock
        self._server: HttpServer | None = None
        self._account: Account | None = None
        self._sagemaker: SageMaker | None = None

    def start(self) -> None:
        """Start serving; raises :class:`CallerError` if the port is in use or a server already runs in this process."""
        if not _in_process.acquire(blocking=False):
            raise CallerError(
                "A local AWS already runs in this process; stop it first, or start the second one in another process."
            )
        try:
            self._start()
        except BaseException:
            _in_process.release()
            raise

    def stop(self) -> None:
        """End all jobs, endpoints, connections and threads; remove their directories and all stored state."""
        if self._server is None:
            return
        assert self._sagemaker is not None
        assert self._account is not None
        self._sagemaker.close()
        self._account.close()
        self._server.stop()
        self._server = None
        moto_api_backend.reset()
        _in_process.release()
        event(_log, logging.INFO, "local AWS stopped", port=self.port)

    def interrupt_training(self, job_name: str, capacity_after_s: float = 0.0) -> None:
        """Reclaim the instances of a managed spot training job: SIGTERM, SIGKILL after two minutes.

        The job starts again when instances are available, ``capacity_after_s`` seconds later. :class:`CallerError` for a job that
        does not exist, is not on spot, or is not in Training.
        """
        if self._sagemaker is None:
            raise CallerError("The local AWS is not running.")
        self._sagemaker.training.interrupt(job_name, capacity_after_s)

    def _start(self) -> None:
        try:
            botocore.session.Session().get_scoped_config()
        except ProfileNotFound as error:
            # moto opens sessions of its own, which would fail at the first request.
            raise CallerError(f"{error}; unset AWS_PROFILE to start the local AWS.") from error
        self._work_dir.mkdir(parents=True, exist_ok=True)
        # Roles name AWS's managed policies, which moto has but does not load by default.
        default_user_config["iam"] = {"load_aws_managed_policies": True}
        moto_api_backend.reset()
        bucket_policies.install()
        handler: list[WsgiApp] = []

        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return handler[0](environ, start_response)

        # SageMaker calls this server, so it needs the port, which is known once the server exists.
        server = HttpServer(self._host, self.port, application)
        self.port = server.port
        address = f"[{self._host}]" if ":" in self._host else self._host
        self.endpoint_url = f"http://{address}:{self.port}"
        handler.append(self._application())
        self._server = server
        server.start()
        event(_log, logging.INFO, "local AWS started", url=self.endpoint_url)

    def _application(self) -> WsgiApp:
        """Control of faults, then faults, then the router."""
        account = Account(
            self._region,
            self.endpoint_url,
            self._work_dir,
            limits=self._limits,
            hidden_packages=self._hidden_packages,
            clock=self._clock,
        )
        sagemaker = SageMaker(account)
        self._account = account
        self._sagemaker = sagemaker

        def kill(target: Target) -> None:
            runtime = target.names[0].startswith("sagemaker-runtime:")
            (sagemaker.hosting if runtime else sagemaker.training).kill(target.resources[0])

        def interrupt(target: Target) -> None:
            sagemaker.training.interrupt(target.resources[0], 0.0)

        router = Router(
            (*sagemaker.services, IAM, CLOUDFORMATION),
            fallback=DomainDispatcherApplication(create_backend_app),
        )
        application = FaultMiddleware(router, self.faults, {Kind.KILL: kill, Kind.INTERRUPT: interrupt})
        if not self._control_token:
            return application
        return FaultControl(application, self.faults, self._control_token)
