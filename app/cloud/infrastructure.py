"""Renders the infrastructure for both accounts: Snowflake's SQL and AWS's CloudFormation.

The same files set up a real account and the local cloud. The rest of the product gets the names of what they create from
``settings``.

Neither side can be set up first as a whole: the integrations need the roles' ARNs, and the roles must trust the users that
DESCRIBE INTEGRATION then shows. So there are three steps: deploy the stack, run the SQL, deploy the stack again.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, fields
from pathlib import Path

from app.errors import CallerError
from app.resources import shared
from app.sql import Name, literal

TEMPLATE = "snowsage.yaml"
STACK = "snowsage"

#: Column positions in the result of DESCRIBE INTEGRATION.
_PROPERTY, _VALUE = 0, 2


@dataclass(frozen=True)
class InfraValues:
    """Values for the Snowflake side. The role ARNs are outputs of the stack; ``gateway_url`` is API Gateway's stage."""

    bucket: str
    storage_role_arn: str
    api_role_arn: str
    gateway_url: str
    database: str = "SNOWSAGE"
    warehouse: str = "SNOWSAGE_WH"
    stage: str = "ML.LAKE"
    storage_integration: str = "SNOWSAGE_STORAGE"
    api_integration: str = "SNOWSAGE_API"
    pipeline_role: str = "SNOWSAGE_PIPELINE"
    reader_role: str = "SNOWSAGE_READER"

    def for_sql(self) -> dict[str, str]:
        """Each value as SQL text: quoted names and literals."""
        texts = {
            "storage_role_arn": self.storage_role_arn,
            "api_role_arn": self.api_role_arn,
            "gateway_url": f"{self.gateway_url.rstrip('/')}/",  # a prefix without the slash would admit other hosts
            "bucket_url": f"s3://{self.bucket}/",
        }
        names = {field.name for field in fields(self)} - {*texts, "bucket"}
        return {
            **{name: str(Name.parse(getattr(self, name))) for name in names},
            **{name: literal(text) for name, text in texts.items()},
        }


def render_sql(values: InfraValues) -> dict[str, str]:
    """File name -> SQL, in the order in which the files are run."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701  # SQL
    known = values.for_sql()
    files = sorted((shared("infra") / "snowflake").glob("*.sql"))
    return {file.name: environment.from_string(file.read_text()).render(known) for file in files}


def template() -> str:
    """The CloudFormation template; its values are parameters."""
    return (shared("infra") / "aws" / TEMPLATE).read_text()


def trust_parameters(storage: list[tuple[object, ...]], api: list[tuple[object, ...]]) -> dict[str, str]:
    """The stack's trust parameters from the rows of DESCRIBE INTEGRATION for both integrations."""
    found = {str(row[_PROPERTY]): str(row[_VALUE]) for row in (*storage, *api)}
    return {
        "StorageUserArn": found["STORAGE_AWS_IAM_USER_ARN"],
        "StorageExternalId": found["STORAGE_AWS_EXTERNAL_ID"],
        "ApiUserArn": found["API_AWS_IAM_USER_ARN"],
        "ApiExternalId": found["API_AWS_EXTERNAL_ID"],
    }


def write(values: InfraValues, folder: Path) -> list[Path]:
    """Write everything below ``folder``, with a README that gives the order of the steps; the files written."""
    sql = render_sql(values)
    files = {f"aws/{TEMPLATE}": template(), **{f"snowflake/{name}": text for name, text in sql.items()}}
    files["README.md"] = _guide(values, sorted(sql))
    written = []
    for name, text in files.items():
        path = folder / name
        if path.exists() and not path.is_file():
            raise CallerError(f"{path} is not a file and would be overwritten; choose another --output")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written


def _guide(values: InfraValues, sql: list[str]) -> str:
    deploy = (
        f"aws cloudformation deploy --stack-name {STACK} --template-file aws/{TEMPLATE} \\\n"
        f"  --capabilities CAPABILITY_NAMED_IAM --parameter-overrides BucketName={values.bucket}"
    )
    trust = "StorageUserArn=... StorageExternalId=... ApiUserArn=... ApiExternalId=..."
    describe = [
        f'snow sql -q "DESCRIBE INTEGRATION {name}"' for name in (values.storage_integration, values.api_integration)
    ]
    steps = {
        "AWS, the first time:": [deploy],
        "Snowflake, with the stack's outputs StorageRoleArn and ApiRoleArn rendered into the SQL (`snowsage infra render "
        "--storage-role-arn ... --api-role-arn ... --gateway-url ...`):": [
            *(f"snow sql -f snowflake/{name}" for name in sql),
            *describe,
        ],
        "AWS again, now that Snowflake's users and external ids are known:": [f"{deploy} \\\n  {trust}"],
    }
    blocks = [
        f"{number}. {title}\n\n" + textwrap.indent("```sh\n" + "\n".join(commands) + "\n```\n", "   ")
        for number, (title, commands) in enumerate(steps.items(), start=1)
    ]
    return "# Setting up the two accounts\n\n" + "\n".join(blocks)
