"""CloudFormation: deploys a template as a stack, as `aws cloudformation deploy` does."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from app.cloud.aws.session import AwsSession, translated


def deploy_stack(session: AwsSession, name: str, template: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Create or update a stack and wait for it; its outputs by name."""
    client = session.client("cloudformation")
    arguments = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    with translated(f"deploying stack {name}"):
        if _exists(client, name):
            _update(client, name, arguments)
        else:
            client.create_stack(**arguments)
            client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        outputs = client.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
    return {item["OutputKey"]: item["OutputValue"] for item in outputs}


def _exists(client: object, name: str) -> bool:
    try:
        client.describe_stacks(StackName=name)  # type: ignore[attr-defined]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return False
        raise
    return True


def _update(client: object, name: str, arguments: Mapping[str, object]) -> None:
    try:
        client.update_stack(**arguments)  # type: ignore[attr-defined]
    except ClientError as error:
        if "No updates are to be performed" not in error.response["Error"].get("Message", ""):
            raise
    else:
        client.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})  # type: ignore[attr-defined]
