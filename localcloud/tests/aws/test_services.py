"""Requests that moto answers unchanged, CloudFormation templates, and policy simulation."""

from __future__ import annotations

import json
import os

import pytest
from botocore.exceptions import ClientError

from .conftest import BUCKET, Aws

_TEMPLATE = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Parameters": {"Days": {"Type": "Number", "Default": 7}},
    "Resources": {
        "Data": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "stack-data",
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                },
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "LifecycleConfiguration": {
                    "Rules": [{"Id": "old", "Status": "Enabled", "ExpirationInDays": {"Ref": "Days"}}]
                },
            },
        },
        "DataPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Data"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": {"Fn::Sub": "${Data.Arn}/*"},
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ],
                },
            },
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "stack-role",
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                "Policies": [
                    {
                        "PolicyName": "data",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": ["s3:GetObject", "s3:Put*"],
                                    "Resource": {"Fn::Sub": "${Data.Arn}/*"},
                                },
                                {
                                    "Effect": "Deny",
                                    "Action": "s3:*",
                                    "Resource": {"Fn::Sub": "${Data.Arn}/locked/*"},
                                },
                            ],
                        },
                    }
                ],
            },
        },
    },
    "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
}


def test_s3_multipart_uploads_and_keys_with_special_characters(aws: Aws) -> None:
    part = os.urandom(5 * 1024 * 1024)
    upload = aws.s3.create_multipart_upload(Bucket=BUCKET, Key="big/ü key.bin")["UploadId"]
    name = {"Bucket": BUCKET, "Key": "big/ü key.bin", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": aws.s3.upload_part(**name, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((part, b"end"), start=1)
    ]
    aws.s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    found = aws.s3.get_object(Bucket=BUCKET, Key="big/ü key.bin")
    assert found["Body"].read() == part + b"end"
    assert aws.s3.head_object(Bucket=BUCKET, Key="big/ü key.bin")["ContentLength"] == len(part) + 3
    aws.s3.put_object(Bucket=BUCKET, Key="endpoints/x/invocations", Body=b"an object, not a call")
    assert aws.s3.get_object(Bucket=BUCKET, Key="endpoints/x/invocations")["Body"].read().startswith(b"an obj")


def test_a_stack_is_created_updated_and_described(aws: Aws) -> None:
    formation = aws.client("cloudformation")
    stack = {"StackName": "infra", "TemplateBody": json.dumps(_TEMPLATE), "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    formation.create_stack(**stack)
    (found,) = formation.describe_stacks(StackName="infra")["Stacks"]
    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert found["Outputs"][0]["OutputValue"] == "arn:aws:iam::123456789012:role/stack-role"
    assert _expiry(aws) == 7
    encryption = aws.s3.get_bucket_encryption(Bucket="stack-data")["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert all(aws.s3.get_public_access_block(Bucket="stack-data")["PublicAccessBlockConfiguration"].values())
    assert "SecureTransport" in aws.s3.get_bucket_policy(Bucket="stack-data")["Policy"]
    formation.update_stack(**stack, Parameters=[{"ParameterKey": "Days", "ParameterValue": "30"}])
    assert formation.describe_stacks(StackName="infra")["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    assert _expiry(aws) == 30

    answer = aws.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:role/stack-role",
        ActionNames=["s3:PutObject", "s3:DeleteObject"],
        ResourceArns=["arn:aws:s3:::stack-data/a", "arn:aws:s3:::stack-data/locked/a"],
    )
    decisions = {
        (result["EvalActionName"], result["EvalResourceName"].rpartition("data/")[2]): result["EvalDecision"]
        for result in answer["EvaluationResults"]
    }
    assert decisions == {
        ("s3:PutObject", "a"): "allowed",
        ("s3:PutObject", "locked/a"): "explicitDeny",
        ("s3:DeleteObject", "a"): "implicitDeny",
        ("s3:DeleteObject", "locked/a"): "explicitDeny",
    }


def test_simulation_reads_attached_policies_and_rejects_unknown_entities(aws: Aws) -> None:
    iam = aws.client("iam")
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}
    policy = iam.create_policy(PolicyName="most", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.create_role(RoleName="attached", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="attached", PolicyArn=policy)
    arn = "arn:aws:iam::123456789012:role/attached"
    actions = ["S3:getobject", "iam:GetRole", "iam:DeleteRole"]
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions)
    assert [r["EvalDecision"] for r in answer["EvaluationResults"]] == ["allowed", "implicitDeny", "implicitDeny"]
    iam.attach_role_policy(RoleName="attached", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions)
    assert [r["EvalDecision"] for r in answer["EvaluationResults"]] == ["allowed", "allowed", "implicitDeny"]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.simulate_principal_policy(PolicySourceArn=arn + "-not", ActionNames=["s3:GetObject"])


def test_identity_logs_and_the_model_registry_go_to_moto(aws: Aws) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/of/a/user")
    assert logs.describe_log_groups(logGroupNamePrefix="/of")["logGroups"][0]["logGroupName"] == "/of/a/user"
    group = aws.sagemaker.create_model_package_group(ModelPackageGroupName="churn", Tags=[{"Key": "a", "Value": "b"}])
    arn = group["ModelPackageGroupArn"]
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(ClientError, match="does not support the SageMaker operation StartPipelineExecution"):
        aws.sagemaker.start_pipeline_execution(PipelineName="p")


def test_a_stack_with_an_unsupported_type_is_rejected_before_it_is_created(aws: Aws) -> None:
    formation = aws.client("cloudformation")
    for resource, sentence in [
        ({"Type": "AWS::QLDB::Ledger"}, "does not support these resource types in a stack: AWS::QLDB::Ledger"),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"AccelerateConfiguration": {"AccelerationStatus": "Enabled"}}},
            "does not support AccelerateConfiguration of AWS::S3::Bucket",
        ),
    ]:
        with pytest.raises(ClientError, match=sentence):
            formation.create_stack(StackName="no", TemplateBody=json.dumps({"Resources": {"X": resource}}))


def test_lifecycle_rules_by_tag(aws: Aws) -> None:
    formation = aws.client("cloudformation")
    tag, other = {"Key": "kind", "Value": "scratch"}, {"Key": "owner", "Value": "us"}
    rules = [
        {"Id": "tag", "Status": "Enabled", "ExpirationInDays": 2, "TagFilters": [tag]},
        {"Id": "tags", "Status": "Enabled", "ExpirationInDays": 3, "TagFilters": [tag, other]},
        {"Id": "both", "Status": "Enabled", "ExpirationInDays": 4, "TagFilters": [tag], "Prefix": "a/"},
    ]
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"BucketName": "tagged", "LifecycleConfiguration": {"Rules": rules}},
    }
    formation.create_stack(StackName="tagged", TemplateBody=json.dumps({"Resources": {"X": bucket}}))
    try:
        found = aws.s3.get_bucket_lifecycle_configuration(Bucket="tagged")["Rules"]
        assert {rule["ID"]: rule["Filter"] for rule in found} == {
            "tag": {"Tag": tag},
            "tags": {"And": {"Tags": [tag, other]}},
            "both": {"And": {"Prefix": "a/", "Tags": [tag]}},
        }
    finally:
        formation.delete_stack(StackName="tagged")


def _expiry(aws: Aws) -> int:
    rules = aws.s3.get_bucket_lifecycle_configuration(Bucket="stack-data")["Rules"]
    days: int = rules[0]["Expiration"]["Days"]
    return days
