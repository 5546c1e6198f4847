"""The infrastructure's SQL: no value can inject SQL, and the grants suffice for the stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlglot import exp

from app.batch.plan import plan_batch
from app.cloud.infrastructure import InfraValues, render_sql, template, trust_parameters, write
from app.deploy.plan import plan_deploy
from app.errors import CallerError
from app.features import store
from app.registry import versions
from app.sql import Name
from localcloud.aws.iam.simulation import decide
from localcloud.snowflake.objects.account.syntax import Grant
from localcloud.snowflake.objects.external_functions.syntax import CreateExternalFunction
from localcloud.snowflake.objects.integrations.syntax import CreateApiIntegration, CreateStorageIntegration
from localcloud.snowflake.objects.stages.syntax import CreateStage
from localcloud.snowflake.sql.syntax import Creation, Statement
from tests.support.statements import read
from tests.unit import churn

VALUES = InfraValues(
    bucket="lake",
    storage_role_arn="arn:aws:iam::123456789012:role/snowsage-storage",
    api_role_arn="arn:aws:iam::123456789012:role/snowsage-api",
    gateway_url="https://abc123.execute-api.eu-central-1.amazonaws.com/prod",
)


def statements(values: InfraValues = VALUES) -> list[exp.Expr | Statement]:
    """Every statement of every file, in order."""
    lines = [line for text in render_sql(values).values() for line in text.splitlines() if not line.startswith("--")]
    return [read(text) for text in "\n".join(lines).split(";") if text.strip()]


def one_of(kind: type, values: InfraValues = VALUES) -> Statement:
    (found,) = (item for item in statements(values) if isinstance(item, kind))
    return found


def test_the_gateways_prefix_ends_with_a_slash() -> None:
    for url in (VALUES.gateway_url, f"{VALUES.gateway_url}/", f"{VALUES.gateway_url}//"):
        found = one_of(CreateApiIntegration, InfraValues("b", "s", "a", url))
        assert isinstance(found, CreateApiIntegration)
        assert found.allowed_prefixes == (f"{VALUES.gateway_url}/",)


def test_a_hostile_value_stays_one_string_literal() -> None:
    role = "x') ENABLED = FALSE --"
    found = one_of(CreateStorageIntegration, InfraValues("b", role, "a", "https://x"))
    assert isinstance(found, CreateStorageIntegration)
    assert found.role_arn == role


@pytest.mark.parametrize("name", ["database", "warehouse", "stage", "pipeline_role"])
def test_a_hostile_name_is_rejected(name: str) -> None:
    with pytest.raises(CallerError, match="is not a name in Snowflake"):
        render_sql(InfraValues("b", "s", "a", "https://x", **{name: "x; DROP DATABASE d"}))


def test_the_integrations_are_never_replaced() -> None:
    # OR REPLACE would create a new external id, and the roles would no longer trust Snowflake.
    for kind in (CreateStorageIntegration, CreateApiIntegration, CreateStage):
        found = one_of(kind)
        assert isinstance(found, Creation)
        assert (found.if_not_exists, found.or_replace) == (True, False)


def grants_to(role: str) -> set[tuple[str, str]]:
    """(privilege, object)."""
    return {
        (
            privilege,
            str(item.object_name) if item.scope is None else f"{item.scope} {item.object_name} {item.object_kind}",
        )
        for item in statements()
        if isinstance(item, Grant) and item.grantee == role
        for privilege in item.privileges
    }


def made_by_the_stages() -> set[tuple[str, str]]:
    """(kind of object, schema) of every object that the stages create."""
    batch = plan_batch(
        churn.PIPELINE, churn.RUN, churn.feature_set(), churn.registered(), "lake", Name.of("ML", "LAKE")
    )
    created = [
        store.CREATE_LINEAGE,
        store.create_view_table("V", {"ID": "NUMBER"}, churn.ORDERS, "churn"),
        store.create_current_view("churn", "SELECT 1 AS A"),
        *versions.CREATE,
        *plan_deploy(churn.PIPELINE, churn.registered(), [], None, churn.platform()).functions,
        batch.create,
        batch.load[0],
    ]
    found = set()
    for statement in created:
        tree = read(statement.text)
        if isinstance(tree, CreateExternalFunction):
            found.add(("FUNCTION", str(tree.name.schema)))
        elif isinstance(tree, exp.Create):
            table = tree.find(exp.Table)
            assert table is not None
            found.add((str(tree.args["kind"]), table.db))
    return found


def test_the_pipelines_role_may_create_every_object_of_the_stages() -> None:
    granted = grants_to("SNOWSAGE_PIPELINE")
    made = made_by_the_stages()
    assert made >= {("TABLE", "FEATURE_STORE"), ("VIEW", "FEATURE_STORE"), ("FUNCTION", "ML"), ("TABLE", "ANALYTICS")}
    assert {(f"CREATE {kind}", f"SNOWSAGE.{schema}") for kind, schema in made} <= granted


def test_the_pipelines_role_may_use_integrations_stage_and_warehouse() -> None:
    assert {
        ("USAGE", "SNOWSAGE_API"),
        ("USAGE", "SNOWSAGE_STORAGE"),
        ("USAGE", "SNOWSAGE.ML.LAKE"),
        ("USAGE", "SNOWSAGE_WH"),
        ("SELECT", "FUTURE IN SCHEMA SNOWSAGE.RAW TABLES"),
    } <= grants_to("SNOWSAGE_PIPELINE")


def test_the_readers_role_may_only_read() -> None:
    assert {privilege for privilege, _ in grants_to("SNOWSAGE_READER")} == {"USAGE", "SELECT"}


def test_configured_names_are_used_in_every_statement() -> None:
    values = InfraValues(
        "lake",
        "s",
        "a",
        "https://x",
        database="d2",
        warehouse="w2",
        stage="ml.s2",
        pipeline_role="p2",
        reader_role="r2",
    )
    text = "\n".join(render_sql(values).values())
    for name in ("SNOWSAGE.", "SNOWSAGE_WH", "SNOWSAGE_PIPELINE", "SNOWSAGE_READER", "LAKE"):
        assert name not in text
    assert "D2.ML.S2" in text


def test_trust_values_are_read_from_describe_integration() -> None:
    storage = [("STORAGE_AWS_IAM_USER_ARN", "String", "arn:u1", ""), ("STORAGE_AWS_EXTERNAL_ID", "String", "e1", "")]
    api = [("API_AWS_IAM_USER_ARN", "String", "arn:u2", ""), ("API_AWS_EXTERNAL_ID", "String", "e2", "")]
    assert trust_parameters(list(storage), list(api)) == {
        "StorageUserArn": "arn:u1",
        "StorageExternalId": "e1",
        "ApiUserArn": "arn:u2",
        "ApiExternalId": "e2",
    }


def test_all_files_and_a_guide_are_written(tmp_path: Path) -> None:
    written = write(VALUES, tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in written}
    assert {"README.md", "aws/snowsage.yaml", "snowflake/10-database.sql", "snowflake/40-grants.sql"} <= names
    assert all(path.read_text() for path in written)
    assert "BucketName=lake" in (tmp_path / "README.md").read_text()


def test_a_folder_with_the_name_of_a_generated_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "README.md").mkdir()
    with pytest.raises(CallerError, match="is not a file and would be overwritten; choose another --output"):
        write(VALUES, tmp_path)


# --- AWS ------------------------------------------------------------------------------------------------------------------


class _Tagged(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their arguments."""


_Tagged.add_multi_constructor(
    "!",
    lambda loader, _, node: (
        loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True)
    ),
)


def resources() -> dict[str, Any]:
    text = template().replace("${AWS::Partition}", "aws").replace("${BucketName}", "lake")
    found: dict[str, Any] = yaml.load(text, _Tagged)["Resources"]  # a safe loader
    return found


def may(role: str, action: str, key: str) -> bool:
    """Whether the role's own policies allow the action on an object of the bucket."""
    (policy,) = resources()[role]["Properties"]["Policies"]
    return decide(policy["PolicyDocument"]["Statement"], f"s3:{action}", f"arn:aws:s3:::lake/{key}") == "allowed"


CONTROL = ["churn/live.json", "churn/lease.json", "churn/owner.json", "churn/versions/1.0.json"]


@pytest.mark.parametrize("role", ["ExecutionRole", "StorageRole"])
def test_neither_sagemaker_nor_snowflake_may_change_what_is_live(role: str) -> None:
    for key in CONTROL:
        assert may(role, "GetObject", key)
        assert not may(role, "PutObject", key)
        assert not may(role, "DeleteObject", key)
        assert not may(role, "DeleteObjectVersion", key)


@pytest.mark.parametrize(
    ("role", "stage", "writes"),
    [
        ("ExecutionRole", "train", True),
        ("ExecutionRole", "export", False),
        ("ExecutionRole", "batch/predictions", False),
        ("StorageRole", "export", True),
        ("StorageRole", "batch/features", True),
        ("StorageRole", "train", False),
        ("StorageRole", "batch/predictions", False),
    ],
)
def test_each_role_writes_only_the_folders_of_its_own_work(role: str, stage: str, writes: bool) -> None:
    key = f"{churn.RUN.key(stage)}x"
    assert may(role, "GetObject", key)
    assert may(role, "PutObject", key) is writes


def test_the_bucket_keeps_earlier_versions_for_a_while() -> None:
    lake = resources()["Lake"]["Properties"]
    assert lake["VersioningConfiguration"] == {"Status": "Enabled"}
    assert {"NoncurrentDays": 30} in [
        rule.get("NoncurrentVersionExpiration") for rule in lake["LifecycleConfiguration"]["Rules"]
    ]
