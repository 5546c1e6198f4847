"""What the account allows, read before something is paid for. What the credentials may not read is not checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from app.cloud.aws.session import AwsSession
from app.errors import CallerError


def refuse_missing_role(session: AwsSession, role_arn: str) -> None:
    """Raise CallerError if the role does not exist."""
    name = role_arn.rpartition("/")[2]
    try:
        session.client("iam").get_role(RoleName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            raise CallerError(
                f"the role {role_arn} does not exist; set SNOWSAGE_EXECUTION_ROLE_ARN to the one that `snowsage infra apply` made"
            ) from error
    except BotoCoreError:
        return


def refuse_small_quota(session: AwsSession, instance_type: str, count: int, use: str) -> None:
    """Raise CallerError if the account may not have ``count`` instances for ``use``, such as ``training job``."""
    wanted = f"{instance_type} for {use} usage"
    try:
        quota = next((item for item in _quotas(session) if item["QuotaName"] == wanted), None)
    except (ClientError, BotoCoreError):
        return
    if quota is not None and quota["Value"] < count:
        raise CallerError(
            f'the account\'s quota "{wanted}" is {quota["Value"]:g} and {count} {"is" if count == 1 else "are"} needed; request an '
            "increase in Service Quotas, or write another instance type in the pipeline file"
        )


def _quotas(session: AwsSession) -> Iterator[dict[str, Any]]:
    pages = session.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    for page in pages:
        yield from page["Quotas"]
