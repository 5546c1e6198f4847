"""``infra``: infrastructure for the Snowflake and AWS accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(no_args_is_help=True, help="Infrastructure for your Snowflake and AWS accounts.")


@group.command("render")
def render(
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("build/infra"),
    bucket: Annotated[str, typer.Option(help="Bucket that Snowflake and SageMaker share.")] = "snowsage-lake",
    storage_role_arn: Annotated[
        str, typer.Option(help="The stack's output StorageRoleArn.")
    ] = "arn:aws:iam::ACCOUNT:role/snowsage-snowflake-storage",
    api_role_arn: Annotated[
        str, typer.Option(help="The stack's output ApiRoleArn.")
    ] = "arn:aws:iam::ACCOUNT:role/snowsage-snowflake-api",
    gateway_url: Annotated[
        str, typer.Option(help="API Gateway's stage URL.")
    ] = "https://API.execute-api.REGION.amazonaws.com/prod",
    database: Annotated[str, typer.Option(help="Snowflake database.")] = "SNOWSAGE",
) -> None:
    """Write Snowflake's SQL, AWS's CloudFormation template, and a README with the steps in order."""
    from app.cloud.infrastructure import InfraValues, write

    values = InfraValues(bucket, storage_role_arn, api_role_arn, gateway_url, database)
    for path in write(values, output):
        typer.echo(path)
