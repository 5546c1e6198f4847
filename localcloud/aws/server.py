"""The local AWS as a whole: started, reached through ``AWS_ENDPOINT_URL``, stopped without leaving anything behind.

In: a directory to work in. Out: an address that boto3 and the SageMaker SDK take for AWS. The surprise: moto keeps its
state in the process, not in the server, so a process runs one :class:`AwsServer` at a time; two in two processes are
independent of each other.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import botocore.session
from botocore.exceptions import ProfileNotFound
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.config import default_user_config
from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localcloud.aws.account import Cloud, Limits
from localcloud.aws.http.faults import Ender, FaultDoor
from localcloud.aws.http.protocol import Environ, StartResponse, WsgiApp
from localcloud.aws.http.routing import Front
from localcloud.aws.http.server import Server
from localcloud.aws.iam.simulation import simulate_principal_policy
from localcloud.aws.s3 import bucket_policies
from localcloud.aws.sagemaker.hosting.async_invocation import AsyncInference
from localcloud.aws.sagemaker.hosting.invocation import Invocation
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.service import Training
from localcloud.aws.sagemaker.transform.service import Transform
from localcloud.aws.sagemaker.tuning.service import Tuning
from localcloud.errors import CallerError
from localcloud.faults.control import Control
from localcloud.faults.rules import FaultPlan, Kind, Target
from localcloud.log import event

_log = logging.getLogger(__name__)

# moto's backends belong to the process.
_in_process = threading.Lock()
_OURS = ("training", "endpoints", "transform")


class AwsServer:
    """An AWS on ``host:port`` for one account (123456789012) and region.

    ``work_dir``: jobs and endpoints live below it while they run. ``port``: 0 takes a free one; ``port`` and
    ``endpoint_url`` are known once :meth:`start` has returned. ``limits``: AWS's times, for tests to shorten.
    ``faults``: what requests meet; with a ``control_token`` they can be set over HTTP as well.
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
    ) -> None:
        self.port = port
        self.endpoint_url = ""
        self._host = host
        self._region = region
        self._work_dir = work_dir.resolve()
        self._limits = limits or Limits()
        self.faults = faults or FaultPlan()
        self._control_token = control_token
        self._server: Server | None = None
        self._cloud: Cloud | None = None
        self._training: Training | None = None
        self._tuning: Tuning | None = None
        self._hosting: Hosting | None = None
        self._transform: Transform | None = None

    def start(self) -> None:
        """Answer from now on; :class:`CallerError` for a port in use or a second server in this process."""
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
        """End every job, endpoint, connection and thread, remove their directories, forget all that was stored."""
        if self._server is None:
            return
        assert self._training is not None
        assert self._tuning is not None
        assert self._hosting is not None
        assert self._transform is not None
        assert self._cloud is not None
        self._tuning.close()
        self._transform.close()
        self._training.close()
        self._asynchronous.close()
        self._invocation.close()
        self._hosting.close()
        self._cloud.close()
        self._server.stop()
        self._server = None
        for name in _OURS:
            shutil.rmtree(self._work_dir / name, ignore_errors=True)
        moto_api_backend.reset()
        _in_process.release()
        event(_log, logging.INFO, "local AWS stopped", port=self.port)

    def interrupt_training(self, job_name: str, capacity_after_s: float = 0.0) -> None:
        """Reclaim the instances of a managed spot training job that trains: SIGTERM, two minutes, then they are gone.

        It starts again once there are instances, ``capacity_after_s`` seconds later. :class:`CallerError` for a job that
        is not there, not on spot, or not in Training.
        """
        if self._training is None:
            raise CallerError("The local AWS does not run.")
        self._training.interrupt(job_name, capacity_after_s)

    def _start(self) -> None:
        try:
            botocore.session.Session().get_scoped_config()
        except ProfileNotFound as error:
            # moto opens sessions of its own, which fail at the first request instead.
            raise CallerError(f"{error}; unset AWS_PROFILE to start the local AWS.") from error
        self._work_dir.mkdir(parents=True, exist_ok=True)
        # Roles name AWS's managed policies, which moto has but does not load by itself.
        default_user_config["iam"] = {"load_aws_managed_policies": True}
        moto_api_backend.reset()
        bucket_policies.install()
        door: list[WsgiApp] = []

        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return door[0](environ, start_response)

        # The handlers call this server themselves, so its port has to be known before they exist.
        server = Server(self._host, self.port, application)
        self.port = server.port
        address = f"[{self._host}]" if ":" in self._host else self._host
        self.endpoint_url = f"http://{address}:{self.port}"
        door.append(self._with_faults(self._front()))
        self._server = server
        server.start()
        event(_log, logging.INFO, "local AWS started", url=self.endpoint_url)

    def _with_faults(self, front: Front) -> WsgiApp:
        assert self._hosting is not None
        assert self._training is not None
        hosting, training = self._hosting, self._training

        def kill(target: Target) -> None:
            end = hosting.kill if target.names[0].startswith("sagemaker-runtime:") else training.kill
            end(target.resources[0])

        ends: dict[Kind, Ender] = {Kind.KILL: kill}
        # Managed spot training brings the method; without it the fault `interrupt` is refused.
        interrupt_training = getattr(self, "interrupt_training", None)
        if interrupt_training is not None:
            ends[Kind.INTERRUPT] = lambda target: interrupt_training(target.resources[0])
        door = FaultDoor(front, self.faults, ends)
        return Control(door, self.faults, self._control_token) if self._control_token else door

    def _front(self) -> Front:
        cloud = Cloud(self._region, self.endpoint_url, self._work_dir, self._limits, DEFAULT_ACCOUNT_ID)
        tags = Tags()
        models = Models(cloud, tags)
        self._cloud = cloud
        self._training = Training(cloud, tags)
        self._tuning = Tuning(cloud, self._training, tags)
        self._hosting = Hosting(cloud, models, tags)
        self._transform = Transform(cloud, models, tags)
        self._invocation = Invocation(cloud, self._hosting)
        self._asynchronous = AsyncInference(cloud, self._hosting)
        return Front(
            moto=DomainDispatcherApplication(create_backend_app),
            sagemaker={
                **self._training.operations(),
                **self._tuning.operations(),
                **models.operations(),
                **self._hosting.operations(),
                **self._transform.operations(),
                **tags.operations(),
            },
            iam={"SimulatePrincipalPolicy": simulate_principal_policy},
            invoke={
                "invocations": self._invocation.invoke,
                "async-invocations": self._asynchronous.invoke,
            },
        )
