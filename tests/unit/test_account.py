"""What is asked of the outside before something is paid for: the role, the quota, the service."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from app.cloud.aws.account import refuse_missing_role, refuse_small_quota
from app.cloud.service import ServiceClient
from app.errors import CallerError, TransientError

ROLE = "arn:aws:iam::123456789012:role/service/snowsage"
QUOTAS = [
    {"QuotaName": "ml.m5.xlarge for training job usage", "Value": 0.0},
    {"QuotaName": "ml.m5.xlarge for spot training job usage", "Value": 2.0},
]


class Account:
    """A session whose one client answers every operation with ``answer``, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, dict[str, Any]()

    def client(self, _: str) -> Account:
        return self

    def get_paginator(self, _: str) -> Account:
        return self

    def get_role(self, **asked: Any) -> Any:
        self.asked = asked
        return self._given()

    def paginate(self, **_: Any) -> Any:
        return [self._given()]

    def _given(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Operation")


def test_a_role_that_does_not_exist_is_named_with_its_setting() -> None:
    account = Account(refused("NoSuchEntity"))
    with pytest.raises(CallerError, match=r"role/service/snowsage does not exist; set SNOWSAGE_EXECUTION_ROLE_ARN"):
        refuse_missing_role(account, ROLE)  # type: ignore[arg-type]
    assert account.asked == {"RoleName": "snowsage"}


def test_a_quota_below_the_wanted_instances_is_named() -> None:
    account = Account({"Quotas": QUOTAS})
    with pytest.raises(CallerError, match=r'quota "ml\.m5\.xlarge for training job usage" is 0 and 1 is needed'):
        refuse_small_quota(account, "ml.m5.xlarge", 1, "training job")  # type: ignore[arg-type]
    refuse_small_quota(account, "ml.m5.xlarge", 1, "spot training job")  # type: ignore[arg-type]
    refuse_small_quota(account, "ml.c5.large", 1, "training job")  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [refused("AccessDenied"), EndpointConnectionError(endpoint_url="x")])
def test_what_may_not_be_read_is_not_checked(error: Exception) -> None:
    refuse_missing_role(Account(error), ROLE)  # type: ignore[arg-type]
    refuse_small_quota(Account(error), "ml.m5.xlarge", 1, "training job")  # type: ignore[arg-type]


def test_a_service_that_is_down_is_named() -> None:
    with pytest.raises(
        TransientError, match=r"the service does not answer at .*:9: .*; start it with `snowsage serve`"
    ):
        ServiceClient("http://127.0.0.1:9", "secret").reach()
