"""SimulatePrincipalPolicy with conditions, on a role that CloudFormation created."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Aws

_ROLE = "arn:aws:iam::123456789012:role/conditioned-sagemaker"


_TEMPLATE = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: conditioned-sagemaker
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: sagemaker.amazonaws.com}, Action: "sts:AssumeRole"}]
      Policies:
        - PolicyName: metrics
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: cloudwatch:PutMetricData
                Resource: "*"
                Condition: {StringLike: {"cloudwatch:namespace": "/aws/sagemaker/*"}}
"""


@pytest.fixture(scope="module", autouse=True)
def stack(aws: Aws) -> None:
    aws.client("cloudformation").create_stack(
        StackName="conditioned", TemplateBody=_TEMPLATE, Capabilities=["CAPABILITY_NAMED_IAM"]
    )


def _simulate(aws: Aws, action: str, *context: tuple[str, str], **more: Any) -> dict[str, Any]:
    answer = aws.client("iam").simulate_principal_policy(
        PolicySourceArn=_ROLE,
        ActionNames=[action],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"} for key, value in context
        ],
        **more,
    )
    (found,) = answer["EvaluationResults"]
    return dict(found)


def test_a_condition_is_evaluated_with_the_context_values(aws: Aws) -> None:
    action = "cloudwatch:PutMetricData"
    assert _simulate(aws, action, ("cloudwatch:namespace", "/aws/sagemaker/Jobs"))["EvalDecision"] == "allowed"
    assert _simulate(aws, action, ("CloudWatch:Namespace", "mine"))["EvalDecision"] == "implicitDeny"
    without = _simulate(aws, action)
    assert (without["EvalDecision"], without["MissingContextValues"]) == ("implicitDeny", ["cloudwatch:namespace"])


@pytest.mark.parametrize(
    ("condition", "value", "decision"),
    [
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}, "us-east-1", "allowed"),
        ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, "us-east-1", "implicitDeny"),
        ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, None, "allowed"),
        ({"StringEqualsIfExists": {"aws:RequestedRegion": "us-east-1"}}, None, "allowed"),
        ({"StringLike": {"aws:RequestedRegion": "us-*"}}, "us-east-1", "allowed"),
        ({"Null": {"aws:RequestedRegion": "true"}}, None, "allowed"),
        ({"Null": {"aws:RequestedRegion": "true"}}, "us-east-1", "implicitDeny"),
        ({"Bool": {"aws:RequestedRegion": True}}, "true", "allowed"),
        ({"NumericLessThan": {"aws:RequestedRegion": "10"}}, "9.5", "allowed"),
        ({"NumericLessThan": {"aws:RequestedRegion": "10"}}, "many", "implicitDeny"),
    ],
)
def test_condition_operators(aws: Aws, condition: dict[str, Any], value: str | None, decision: str) -> None:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*", "Condition": condition}
    context = [("aws:RequestedRegion", value)] if value is not None else []
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert _simulate(aws, "sqs:SendMessage", *context, PolicyInputList=[policy])["EvalDecision"] == decision


def test_an_unsupported_operator_is_rejected(aws: Aws) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    with pytest.raises(ClientError, match="does not support the condition operator IpAddress"):
        _simulate(aws, "sqs:SendMessage", PolicyInputList=[json.dumps({"Statement": statement})])
