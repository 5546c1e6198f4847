"""CloudFormation: operations with a template are checked, then moto answers them."""

from __future__ import annotations

from localcloud.aws.http.protocol import DelegateToMoto
from localcloud.aws.http.services import QueryService


def _check_template(form: dict[str, str]) -> str:
    # moto's CloudFormation imports every service that it has, which takes seconds.
    from localcloud.aws.cloudformation.templates import check_template

    check_template(form)
    raise DelegateToMoto


SERVICE = QueryService(
    "cloudformation", dict.fromkeys(("CreateStack", "UpdateStack", "CreateChangeSet"), _check_template)
)
