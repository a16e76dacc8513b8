"""What the Pulumi program declares as a CloudFormation template, for cfn-lint (AWS's own schemas) and checkov."""

import json
import re
from collections.abc import Callable
from typing import Any

from cfnlint.api import ManualArgs, lint

from tests.support.moto_bridge import local_indexes
from tests.support.recorded_stack import REGION, RecordedStack

Inputs = dict[str, Any]

_QUEUE_NAMES = {
    "name": "QueueName",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "kmsMasterKeyId": "KmsMasterKeyId",
}


def problems(stack: RecordedStack) -> list[str]:
    """What cfn-lint says of the stack, an entry a finding; warnings count."""
    # Plain ARNs and regions are what a recording has.
    config = ManualArgs(regions=[REGION], ignore_checks=["W3005", "I3042", "W3010", "E3687"])
    return [
        f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}"
        for match in lint(template(stack), config=config)
    ]


def template(stack: RecordedStack) -> str:
    """The stack as a template, in JSON."""
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": _resources(stack)})


def _resources(stack: RecordedStack) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for resource in stack.resources:
        if resource.type in _OF_BUCKETS or resource.type in _LEFT_OUT:
            continue
        kind, convert = _KINDS[resource.type]
        properties = convert(resource.inputs)
        if kind == "AWS::S3::Bucket":
            for of_bucket, (key, convert_part) in _OF_BUCKETS.items():
                if part := stack.of(of_bucket).get(resource.name):
                    properties[key] = convert_part(part)
        logical = re.sub(r"[^A-Za-z0-9]", "", f"{resource.name} {kind.rsplit(':', 1)[1]}".title())
        made[logical] = {"Type": kind, "Properties": properties}
    return made


# Resources of their own in Pulumi, properties of another in CloudFormation; moto_bridge makes them.
_LEFT_OUT = {
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}


def _access_block(inputs: Inputs) -> Inputs:
    return {_pascal(key): value for key, value in inputs.items() if key != "bucket"}


def _encryption(inputs: Inputs) -> Inputs:
    rules = []
    for rule in inputs["rules"]:
        default = rule["applyServerSideEncryptionByDefault"]
        names = {"SSEAlgorithm": default["sseAlgorithm"], "KMSMasterKeyID": default.get("kmsMasterKeyId")}
        rules.append({"ServerSideEncryptionByDefault": {key: value for key, value in names.items() if value}})
    return {"ServerSideEncryptionConfiguration": rules}


def _lifecycle(inputs: Inputs) -> Inputs:
    return {
        "Rules": [
            {
                "Id": rule["id"],
                "Status": rule["status"],
                "Prefix": rule["filter"]["prefix"],
                "ExpirationInDays": rule["expiration"]["days"],
                "AbortIncompleteMultipartUpload": _pascal_all(rule["abortIncompleteMultipartUpload"]),
            }
            for rule in inputs["rules"]
        ]
    }


_OF_BUCKETS: dict[str, tuple[str, Callable[[Inputs], Inputs]]] = {
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("PublicAccessBlockConfiguration", _access_block),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "BucketEncryption",
        _encryption,
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("LifecycleConfiguration", _lifecycle),
}


def _queue(inputs: Inputs) -> Inputs:
    made = {_QUEUE_NAMES.get(key, _pascal(key)): value for key, value in inputs.items()}
    made["Tags"] = _tags(inputs["tags"])
    if "RedrivePolicy" in made:
        made["RedrivePolicy"] = json.loads(made["RedrivePolicy"])
    return made


def _queue_policy(inputs: Inputs) -> Inputs:
    return {"Queues": [inputs["queueUrl"]], "PolicyDocument": json.loads(inputs["policy"])}


def _managed_policy(inputs: Inputs) -> Inputs:
    return {"Description": inputs["description"], "PolicyDocument": json.loads(inputs["policy"])}


def _role(inputs: Inputs) -> Inputs:
    return {
        "AssumeRolePolicyDocument": json.loads(inputs["assumeRolePolicy"]),
        "Tags": _tags(inputs["tags"]),
    }


def _role_policy(inputs: Inputs) -> Inputs:
    return {"RoleName": inputs["role"], "PolicyName": "own", "PolicyDocument": json.loads(inputs["policy"])}


def _table(inputs: Inputs) -> Inputs:
    return {
        "TableName": inputs["name"],
        "BillingMode": inputs["billingMode"],
        "KeySchema": [
            {"AttributeName": inputs[key], "KeyType": kind}
            for key, kind in (("hashKey", "HASH"), ("rangeKey", "RANGE"))
            if key in inputs
        ],
        "AttributeDefinitions": [
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in inputs["attributes"]
        ],
        "LocalSecondaryIndexes": local_indexes(inputs),
        "TimeToLiveSpecification": _pascal_all(inputs["ttl"]),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]},
        "DeletionProtectionEnabled": inputs["deletionProtectionEnabled"],
        "SSESpecification": _table_encryption(inputs["serverSideEncryption"]),
    }


def _table_encryption(inputs: Inputs) -> Inputs:
    made: Inputs = {"SSEEnabled": inputs["enabled"]}
    if "kmsKeyArn" in inputs:
        made |= {"SSEType": "KMS", "KMSMasterKeyId": inputs["kmsKeyArn"]}
    return made


def _bucket(inputs: Inputs) -> Inputs:
    return {"Tags": _tags(inputs["tags"])}


def _bucket_policy(inputs: Inputs) -> Inputs:
    return {"Bucket": inputs["bucket"], "PolicyDocument": json.loads(inputs["policy"])}


def _alarm(inputs: Inputs) -> Inputs:
    made = {_pascal(key): value for key, value in inputs.items() if key not in ("metricQueries", "dimensions")}
    made["OKActions"] = made.pop("OkActions", [])
    if "dimensions" in inputs:
        made["Dimensions"] = _pairs(inputs["dimensions"], "Name")
    if "metricQueries" in inputs:
        made["Metrics"] = [_query(query) for query in inputs["metricQueries"]]
    return made


def _query(query: Inputs) -> Inputs:
    made = {_pascal(key): value for key, value in query.items() if key != "metric"}
    if "metric" in query:
        metric = query["metric"]
        made["MetricStat"] = {
            "Metric": {
                "Namespace": metric["namespace"],
                "MetricName": metric["metricName"],
                "Dimensions": _pairs(metric["dimensions"], "Name"),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        }
    return made


def _template(inputs: Inputs) -> Inputs:
    data = _pascal_all({key: value for key, value in inputs.items() if key in _TEMPLATE_KEYS})
    data["MetadataOptions"] = _pascal_all(inputs["metadataOptions"])
    data["SecurityGroupIds"] = inputs["vpcSecurityGroupIds"]
    for mapping in data["BlockDeviceMappings"]:
        ebs = mapping["Ebs"]
        mapping["Ebs"] = ebs | {key: ebs[key] == "true" for key in ("Encrypted", "DeleteOnTermination")}
    return {"LaunchTemplateData": data}


_TEMPLATE_KEYS = ("imageId", "instanceType", "iamInstanceProfile", "userData", "blockDeviceMappings", "monitoring")


def _group(inputs: Inputs) -> Inputs:
    policy = inputs["mixedInstancesPolicy"]
    spec = policy["launchTemplate"]["launchTemplateSpecification"]
    return {
        "MinSize": str(inputs["minSize"]),
        "MaxSize": str(inputs["maxSize"]),
        "VPCZoneIdentifier": inputs["vpcZoneIdentifiers"],
        "CapacityRebalance": inputs["capacityRebalance"],
        "HealthCheckType": inputs["healthCheckType"],
        "HealthCheckGracePeriod": inputs["healthCheckGracePeriod"],
        "DefaultInstanceWarmup": inputs["defaultInstanceWarmup"],
        "MetricsCollection": [{"Granularity": "1Minute", "Metrics": inputs["enabledMetrics"]}],
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": spec["launchTemplateId"],
                    "Version": spec["version"],
                },
                "Overrides": _pascal_all(policy["launchTemplate"]["overrides"]),
            },
            "InstancesDistribution": _pascal_all(policy["instancesDistribution"]),
        },
        "Tags": [
            {"Key": tag["key"], "Value": tag["value"], "PropagateAtLaunch": tag["propagateAtLaunch"]}
            for tag in inputs["tags"]
        ],
    }


def _scaling_policy(inputs: Inputs) -> Inputs:
    made: Inputs = {_pascal(key): value for key, value in inputs.items() if key in ("policyType", "adjustmentType")}
    made["AutoScalingGroupName"] = inputs["autoscalingGroupName"]
    if "stepAdjustments" in inputs:
        made["StepAdjustments"] = [
            {_pascal(key): float(value) if "Bound" in key else value for key, value in step.items()}
            for step in inputs["stepAdjustments"]
        ]
    else:
        made["TargetTrackingConfiguration"] = _pascal_all(inputs["targetTrackingConfiguration"])
    return made


def _log_group(inputs: Inputs) -> Inputs:
    return {
        "LogGroupName": inputs["name"],
        "RetentionInDays": inputs["retentionInDays"],
        "Tags": _tags(inputs["tags"]),
    }


def _function(inputs: Inputs) -> Inputs:
    made = {_pascal(key): inputs[key] for key in ("packageType", "role", "timeout", "memorySize", "architectures")}
    return made | {
        "FunctionName": inputs["name"],
        "Code": {"ImageUri": inputs["imageUri"]},
        "Environment": {"Variables": inputs["environment"]["variables"]},
        "LoggingConfig": _pascal_all(inputs["loggingConfig"]),
        "Tags": _tags(inputs["tags"]),
    }


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return _pairs(tags, "Key")


def _pairs(values: dict[str, str], key: str) -> list[dict[str, str]]:
    return [{key: name, "Value": value} for name, value in values.items()]


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]


def _pascal_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {_pascal(key): _pascal_all(each) for key, each in value.items()}
    return [_pascal_all(each) for each in value] if isinstance(value, list) else value


_KINDS: dict[str, tuple[str, Callable[[Inputs], Inputs]]] = {
    "aws:sqs/queue:Queue": ("AWS::SQS::Queue", _queue),
    "aws:sqs/queuePolicy:QueuePolicy": ("AWS::SQS::QueuePolicy", _queue_policy),
    "aws:iam/policy:Policy": ("AWS::IAM::ManagedPolicy", _managed_policy),
    "aws:iam/role:Role": ("AWS::IAM::Role", _role),
    "aws:iam/rolePolicy:RolePolicy": ("AWS::IAM::RolePolicy", _role_policy),
    "aws:iam/instanceProfile:InstanceProfile": (
        "AWS::IAM::InstanceProfile",
        lambda inputs: {"Roles": [inputs["role"]]},
    ),
    "aws:dynamodb/table:Table": ("AWS::DynamoDB::Table", _table),
    "aws:s3/bucket:Bucket": ("AWS::S3::Bucket", _bucket),
    "aws:s3/bucketPolicy:BucketPolicy": ("AWS::S3::BucketPolicy", _bucket_policy),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("AWS::CloudWatch::Alarm", _alarm),
    "aws:ec2/launchTemplate:LaunchTemplate": ("AWS::EC2::LaunchTemplate", _template),
    "aws:autoscaling/group:Group": ("AWS::AutoScaling::AutoScalingGroup", _group),
    "aws:autoscaling/policy:Policy": ("AWS::AutoScaling::ScalingPolicy", _scaling_policy),
    "aws:cloudwatch/logGroup:LogGroup": ("AWS::Logs::LogGroup", _log_group),
    "aws:lambda/function:Function": ("AWS::Lambda::Function", _function),
    "aws:lambda/eventSourceMapping:EventSourceMapping": ("AWS::Lambda::EventSourceMapping", _pascal_all),
}
