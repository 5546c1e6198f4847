"""Pure functions of the local AWS: paths, prefixes, policies, the arguments of script mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.aws.containers import environment
from localcloud.aws.iam import simulation
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training import script_mode


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("data/train/a.csv", "data/train/", "a.csv"),
        ("data/train/a.csv", "data/train", "a.csv"),
        ("data/train/x/a.csv", "data/train", "x/a.csv"),
        ("data/train2/a.csv", "data/train", "train2/a.csv"),
        ("data/train.csv", "data/train.csv", "train.csv"),
        ("a.csv", "", "a.csv"),
    ],
)
def test_an_objects_path_below_its_channel(key: str, prefix: str, path: str) -> None:
    assert transfer.relative_path(key, prefix) == path


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("chmod +x /opt/ml/input/x && cat /opt/ml", "chmod +x /j/input/x && cat /j"),
        ('"/opt/ml/model"', '"/j/model"'),
        ("/opt/mlflow /srv/opt/ml /opt/ml-x", "/opt/mlflow /srv/opt/ml /opt/ml-x"),
    ],
)
def test_only_the_containers_root_is_rewritten(text: str, rewritten: str) -> None:
    assert environment.rewrite_root(text, Path("/j")) == rewritten


@pytest.mark.parametrize(
    ("statement", "decision"),
    [
        ({"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}, "allowed"),
        ({"Effect": "Allow", "Action": ["S3:GETOBJECT"], "Resource": "arn:aws:s3:::b/?"}, "allowed"),
        ({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::b/*"}, "implicitDeny"),
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, "implicitDeny"),
        ({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::B/*"}, "implicitDeny"),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, "explicitDeny"),
        (
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:x": "false"}}},
            "implicitDeny",
        ),
    ],
)
def test_decisions_of_policy_statements(statement: dict[str, object], decision: str) -> None:
    assert simulation.decide([statement], "s3:GetObject", "arn:aws:s3:::b/k") == decision


def test_deny_overrides_allow() -> None:
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    assert simulation.decide([allow, {**allow, "Effect": "Deny"}], "s3:GetObject", "x") == "explicitDeny"


def test_hyperparameters_in_script_mode() -> None:
    values = script_mode.decoded({"sagemaker_program": '"train.py"', "eta": "0.10", "k": "plain", "flag": "true"})
    assert script_mode.arguments(values) == ["--eta", "0.1", "--flag", "True", "-k", "plain"]
    assert script_mode.module_name(values["sagemaker_program"]) == "train"
