"""The local AWS server, which clients reach through ``AWS_ENDPOINT_URL``. Stopping it removes all its state, unless it saves it.

moto keeps its state in the process, so a process runs one :class:`AwsServer` at a time. Servers in different processes are
independent of each other.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import botocore.session
from botocore.exceptions import ClientError, ProfileNotFound
from moto.core.config import default_user_config
from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localcloud.aws.account import Account, Limits
from localcloud.aws.cloudformation import saved_stacks
from localcloud.aws.cloudformation.service import SERVICE as CLOUDFORMATION
from localcloud.aws.http.faults import FaultMiddleware
from localcloud.aws.http.protocol import Environ, StartResponse, WsgiApp
from localcloud.aws.http.routing import Router
from localcloud.aws.http.server import HttpServer
from localcloud.aws.iam import saved_roles
from localcloud.aws.iam.service import SERVICE as IAM
from localcloud.aws.s3 import bucket_policies, conditional_writes, saved_buckets
from localcloud.aws.sagemaker.inference import saved_endpoints
from localcloud.aws.sagemaker.service import SageMaker
from localcloud.errors import CallerError
from localcloud.faults.control import FaultControl
from localcloud.faults.rules import FaultPlan, Kind, Target
from localcloud.log import event

_log = logging.getLogger(__name__)

_SAVED_FILE = "account.json"

# moto's backends belong to the process.
_in_process = threading.Lock()


class AwsServer:
    """An AWS on ``host:port`` for one account (123456789012) and region.

    ``work_dir``: directory for running jobs and endpoints. ``port``: 0 takes a free one; ``port`` and ``endpoint_url`` are known
    once :meth:`start` has returned. ``limits``: AWS's times, for tests to shorten. ``faults``: rules for requests; with a
    ``control_token`` they can be set over HTTP as well. ``hidden_packages``: packages of this Python environment that jobs and
    endpoints cannot import unless their code was uploaded. ``clock``: seconds, for the limits of training jobs. ``saved``: folder
    in which the account is saved at the end, and from which it is restored at the start; None keeps nothing.
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
        saved: Path | None = None,
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
        self._saved = saved
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

    def stop(self, *, save: bool = True) -> None:
        """End all jobs, endpoints, connections and threads; remove their directories and all stored state.

        ``save``: where the server saves its account, do so.
        """
        if self._server is None:
            return
        assert self._sagemaker is not None
        assert self._account is not None
        try:
            if save and self._saved is not None:
                _save(self._account, self._saved)
        finally:
            self._close(self._sagemaker, self._account)

    def _close(self, sagemaker: SageMaker, account: Account) -> None:
        assert self._server is not None
        sagemaker.close()
        account.close()
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
        conditional_writes.install()
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
        if self._saved is not None:
            assert self._account is not None
            _restore(self._account, self._saved)
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


def _save(account: Account, folder: Path) -> None:
    """Write stacks, roles, buckets and endpoints to ``folder``. An earlier content is replaced at the end, all at once.

    Jobs, logs and everything of other services are forgotten; what jobs wrote to S3 is kept.
    """
    written = folder.with_name(f".{folder.name}")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True, mode=0o700)
    body = {
        "cloudformation": list(saved_stacks.describe(account.client("cloudformation"))),
        "iam": list(saved_roles.describe(account.client("iam"))),
        "s3": list(saved_buckets.describe(account.s3, written)),
        "sagemaker": list(saved_endpoints.describe(account.client("sagemaker"))),
    }
    (written / _SAVED_FILE).write_text(json.dumps(body, indent=1, default=str))
    shutil.rmtree(folder, ignore_errors=True)
    written.rename(folder)


def _restore(account: Account, folder: Path) -> None:
    """Create again what ``folder`` holds. What cannot be created again is left out, and logged."""
    if not (folder / _SAVED_FILE).is_file():
        return
    body = json.loads((folder / _SAVED_FILE).read_text())
    creates: dict[str, Callable[[dict[str, object]], None]] = {
        "cloudformation": partial(saved_stacks.create, account.client("cloudformation")),
        "iam": partial(saved_roles.create, account.client("iam")),
        "s3": partial(saved_buckets.create, account.s3, folder=folder),
        "sagemaker": partial(saved_endpoints.create, account.client("sagemaker")),
    }
    for service, create in creates.items():
        for item in body[service]:
            try:
                create(item)
            except ClientError as error:
                message = error.response["Error"]["Message"]
                event(_log, logging.WARNING, "a saved resource is left out", service=service, error=message)
