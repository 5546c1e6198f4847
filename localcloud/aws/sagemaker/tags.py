"""AddTags, ListTags and DeleteTags for resources of the local SageMaker, by ARN.

Resources that moto keeps (model packages, experiments) have their tags in moto: a request for an unknown ARN is delegated.
"""

from __future__ import annotations

from localcloud.aws.http.protocol import DelegateToMoto, Handler, Params


class Tags:
    """Tags by ARN."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def set(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Register a new resource with the tags of its creation."""
        self._tags[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def remove(self, arn: str) -> None:
        """Forget a deleted resource."""
        self._tags.pop(arn, None)

    def add(self, params: Params) -> Params:
        """Add or overwrite tags; returns all tags of the resource."""
        tags = self._of(params)
        tags.update({tag["Key"]: tag["Value"] for tag in params["Tags"]})
        return self.list(params)

    def list(self, params: Params) -> Params:
        """All tags of the resource."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._of(params).items()]}

    def delete(self, params: Params) -> Params:
        """Remove tags; keys that do not exist are ignored."""
        tags = self._of(params)
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _of(self, params: Params) -> dict[str, str]:
        arn = params["ResourceArn"]
        if arn not in self._tags:
            raise DelegateToMoto
        return self._tags[arn]
