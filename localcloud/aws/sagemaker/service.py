"""SageMaker and SageMaker Runtime: all of their services for one account, as the router needs them, and their quotas."""

from __future__ import annotations

import shutil

from localcloud.aws.account import Account
from localcloud.aws.http.services import JsonService, PathService, Service
from localcloud.aws.sagemaker.delegation import check_delegation
from localcloud.aws.sagemaker.hosting.async_invocation import AsyncInvocation
from localcloud.aws.sagemaker.hosting.configurations import EndpointConfigs
from localcloud.aws.sagemaker.hosting.invocation import Invocation
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.quotas import SERVICE as QUOTAS
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.service import Training
from localcloud.aws.sagemaker.transform.service import Transform
from localcloud.aws.sagemaker.tuning.service import Tuning
from localcloud.aws.sagemaker.validation import check_input

_WORK_FOLDERS = ("training", "endpoints", "transform")


class SageMaker:
    """One account's SageMaker. ``services``: what the router asks, the control plane and the runtime."""

    def __init__(self, account: Account) -> None:
        self._account = account
        tags = Tags()
        models = Models(account, tags)
        configs = EndpointConfigs(account, models, tags)
        self.training = Training(account, tags)
        self.hosting = Hosting(account, configs, models, tags)
        self._tuning = Tuning(account, self.training, tags)
        self._transform = Transform(account, models, tags)
        self._invocation = Invocation(account, self.hosting)
        self._async_invocation = AsyncInvocation(account, self.hosting)
        families = (self.training, self._tuning, models, configs, self.hosting, self._transform, tags)
        control_plane = JsonService(
            name="sagemaker",
            target="SageMaker",
            operations={name: handler for family in families for name, handler in family.operations().items()},
            validate=check_input,
            check_fallback=check_delegation,
        )
        runtime = PathService(
            name="sagemaker",
            collection="endpoints",
            operations={**self._invocation.operations(), **self._async_invocation.operations()},
        )
        self.services: tuple[Service, ...] = (control_plane, runtime, QUOTAS)

    def close(self) -> None:
        """End all jobs and endpoints, and remove their directories."""
        for part in (
            self._tuning,
            self._transform,
            self.training,
            self._async_invocation,
            self._invocation,
            self.hosting,
        ):
            part.close()
        for name in _WORK_FOLDERS:
            shutil.rmtree(self._account.work_dir / name, ignore_errors=True)
