"""Requests kept under a name, for resources that are only created, described, listed and deleted.

moto keeps such records too, but drops members, ``EnableNetworkIsolation`` among them.
"""

from __future__ import annotations

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import Params, ValidationException
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.timestamps import now


class Records:
    """Records of one kind. ``kind``: the resource type of the ARN. ``noun``: how AWS's messages name it."""

    def __init__(self, account: Account, tags: Tags, *, kind: str, noun: str, prefix: str) -> None:
        self._account = account
        self._tags = tags
        self._kind = kind
        self._noun = noun
        self._name = f"{prefix}Name"
        self._arn = f"{prefix}Arn"
        self._records: dict[str, Params] = {}

    def create(self, params: Params) -> Params:
        """Keep the request; raises :class:`ValidationException` if the name is taken."""
        name = params[self._name]
        arn = self._account.arn(self._kind, name)
        if name in self._records:
            raise ValidationException(f'Cannot create already existing {self._noun} "{arn}".')
        kept = {key: value for key, value in params.items() if key != "Tags"}
        self._records[name] = kept | {self._arn: arn, "CreationTime": now()}
        self._tags.set(arn, params.get("Tags", []))
        return {self._arn: arn}

    def describe(self, params: Params) -> Params:
        """The request, with ARN and creation time."""
        return self.find(params[self._name])

    def delete(self, params: Params) -> None:
        """Remove the record; what runs on it continues."""
        record = self.find(params[self._name])
        del self._records[params[self._name]]
        self._tags.remove(record[self._arn])

    def list(self, params: Params, key: str) -> Params:
        """Names, ARNs and times, paged."""
        members = (self._name, self._arn, "CreationTime")
        lines = [{member: record[member] for member in members} for record in list(self._records.values())]
        return paging.page(lines, params, name=self._name, status=None, key=key)

    def find(self, name: str) -> Params:
        """The record; raises :class:`ValidationException` if there is none."""
        if name not in self._records:
            raise ValidationException(f'Could not find {self._noun} "{self._account.arn(self._kind, name)}".')
        return self._records[name]
