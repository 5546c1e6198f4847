"""AddTags, ListTags and DeleteTags over every resource of ours, by ARN.

The surprise: resources that moto keeps (model packages, experiments) have their tags in moto, so an ARN we do not know
is passed on to it by the front.
"""

from __future__ import annotations

from localcloud.aws.http.protocol import Handler, NotOurs, Params


class Tags:
    """ARN to tags."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def operations(self) -> dict[str, Handler]:
        """Operation to handler."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def keep(self, arn: str, tags: list[dict[str, str]]) -> None:
        """A new resource with the tags of its creation."""
        self._tags[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def forget(self, arn: str) -> None:
        """The resource is gone."""
        self._tags.pop(arn, None)

    def add(self, params: Params) -> Params:
        """New keys are added, known ones overwritten; answers with all."""
        tags = self._of(params)
        tags.update({tag["Key"]: tag["Value"] for tag in params["Tags"]})
        return self.list(params)

    def list(self, params: Params) -> Params:
        """All tags of the resource."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._of(params).items()]}

    def delete(self, params: Params) -> Params:
        """Keys that are not there are no error."""
        tags = self._of(params)
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _of(self, params: Params) -> dict[str, str]:
        arn = params["ResourceArn"]
        if arn not in self._tags:
            raise NotOurs(arn)
        return self._tags[arn]
