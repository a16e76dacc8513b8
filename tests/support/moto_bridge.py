"""Makes what the Pulumi program declares on moto, through boto3: what AWS would refuse, this refuses in part."""

import json
from collections.abc import Callable
from typing import Any

import boto3

from tests.support.recorded_stack import REGION, Recorded, RecordedStack

Inputs = dict[str, Any]


class Bridge:
    """One AWS account on moto. `endpoint` is a moto server's URL; None where moto runs inside this process."""

    def __init__(self, endpoint: str | None = None, **credentials: str) -> None:
        self._endpoint, self._credentials = endpoint, credentials
        self._makers: dict[str, Callable[[str, Inputs], None]] = {
            "aws:sqs/queue:Queue": self._queue,
            "aws:sqs/queuePolicy:QueuePolicy": self._queue_policy,
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": self._redrive_allow_policy,
            "aws:iam/policy:Policy": self._policy,
            "aws:iam/role:Role": self._role,
            "aws:iam/rolePolicy:RolePolicy": self._role_policy,
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment": self._attachment,
            "aws:iam/instanceProfile:InstanceProfile": self._profile,
            "aws:dynamodb/table:Table": self._table,
            "aws:s3/bucket:Bucket": self._bucket,
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": self._access_block,
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": self._encryption,
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": self._lifecycle,
            "aws:s3/bucketPolicy:BucketPolicy": self._bucket_policy,
            "aws:cloudwatch/metricAlarm:MetricAlarm": self._alarm,
            "aws:ec2/launchTemplate:LaunchTemplate": self._template,
            "aws:autoscaling/group:Group": self._group,
            "aws:autoscaling/policy:Policy": self._scaling_policy,
            "aws:cloudwatch/logGroup:LogGroup": self._log_group,
            "aws:lambda/function:Function": self._function,
            "aws:lambda/eventSourceMapping:EventSourceMapping": self._mapping,
        }

    def client(self, service: str) -> Any:
        """A boto3 client of this account."""
        return boto3.client(service, region_name=REGION, endpoint_url=self._endpoint, **self._credentials)  # type: ignore[call-overload]

    def make(self, stack: RecordedStack, only: tuple[str, ...] = ("aws:",)) -> None:
        """Make every resource of these types, dependencies first; a type that nobody knows how to make is an error."""
        order = list(self._makers)
        wanted = [resource for resource in stack.resources if resource.type.startswith(only)]
        for resource in sorted(wanted, key=lambda resource: (order.index(resource.type), _rank(resource))):
            self._makers[resource.type](resource.name, resource.inputs)

    def _queue(self, name: str, inputs: Inputs) -> None:
        names = {
            "delaySeconds": "DelaySeconds",
            "maxMessageSize": "MaximumMessageSize",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
            "redrivePolicy": "RedrivePolicy",
            "sqsManagedSseEnabled": "SqsManagedSseEnabled",
            "kmsMasterKeyId": "KmsMasterKeyId",
        }
        attributes = {names[key]: _text(value) for key, value in inputs.items() if key in names}
        self.client("sqs").create_queue(QueueName=inputs["name"], Attributes=attributes, tags=inputs["tags"])

    def _queue_policy(self, name: str, inputs: Inputs) -> None:
        self._set_attribute(inputs["queueUrl"], "Policy", inputs["policy"])

    def _redrive_allow_policy(self, name: str, inputs: Inputs) -> None:
        self._set_attribute(inputs["queueUrl"], "RedriveAllowPolicy", inputs["redriveAllowPolicy"])

    def _set_attribute(self, url: str, attribute: str, value: str) -> None:
        sqs = self.client("sqs")
        here = sqs.get_queue_url(QueueName=url.rsplit("/", 1)[1])["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=here, Attributes={attribute: value})

    def _policy(self, name: str, inputs: Inputs) -> None:
        self.client("iam").create_policy(PolicyName=f"{name}-0a1b2c3", PolicyDocument=inputs["policy"])

    def _role(self, name: str, inputs: Inputs) -> None:
        self.client("iam").create_role(RoleName=f"{name}-0a1b2c3", AssumeRolePolicyDocument=inputs["assumeRolePolicy"])

    def _role_policy(self, name: str, inputs: Inputs) -> None:
        self.client("iam").put_role_policy(RoleName=inputs["role"], PolicyName=name, PolicyDocument=inputs["policy"])

    def _attachment(self, name: str, inputs: Inputs) -> None:
        if ":aws:policy/" not in inputs["policyArn"]:  # AWS's own are not on moto unless asked for
            self.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])

    def _profile(self, name: str, inputs: Inputs) -> None:
        iam = self.client("iam")
        iam.create_instance_profile(InstanceProfileName=f"{name}-0a1b2c3")
        iam.add_role_to_instance_profile(InstanceProfileName=f"{name}-0a1b2c3", RoleName=inputs["role"])

    def _table(self, name: str, inputs: Inputs) -> None:
        dynamodb = self.client("dynamodb")
        keys = {"HASH": inputs["hashKey"], "RANGE": inputs.get("rangeKey")}
        dynamodb.create_table(
            TableName=inputs["name"],
            BillingMode=inputs["billingMode"],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for kind, key in keys.items() if key],
            AttributeDefinitions=[
                {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
                for attribute in inputs["attributes"]
            ],
            LocalSecondaryIndexes=local_indexes(inputs),
        )
        ttl = {"AttributeName": inputs["ttl"]["attributeName"], "Enabled": inputs["ttl"]["enabled"]}
        dynamodb.update_time_to_live(TableName=inputs["name"], TimeToLiveSpecification=ttl)

    def _bucket(self, name: str, inputs: Inputs) -> None:
        where = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket=f"{name}-0a1b2c3", CreateBucketConfiguration=where)

    def _access_block(self, name: str, inputs: Inputs) -> None:
        rules = {_pascal(key): value for key, value in inputs.items() if key != "bucket"}
        self.client("s3").put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=rules)

    def _encryption(self, name: str, inputs: Inputs) -> None:
        rules = [
            {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"]
                },
                "BucketKeyEnabled": rule["bucketKeyEnabled"],
            }
            for rule in inputs["rules"]
        ]
        self.client("s3").put_bucket_encryption(
            Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
        )

    def _lifecycle(self, name: str, inputs: Inputs) -> None:
        rules = [
            {
                "ID": rule["id"],
                "Status": rule["status"],
                "Filter": {"Prefix": rule["filter"]["prefix"]},
                "Expiration": {"Days": rule["expiration"]["days"]},
                "AbortIncompleteMultipartUpload": {
                    "DaysAfterInitiation": rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"]
                },
            }
            for rule in inputs["rules"]
        ]
        self.client("s3").put_bucket_lifecycle_configuration(
            Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
        )

    def _bucket_policy(self, name: str, inputs: Inputs) -> None:
        self.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])

    def _alarm(self, name: str, inputs: Inputs) -> None:
        wanted = {_pascal(key): value for key, value in inputs.items() if key not in ("metricQueries", "dimensions")}
        wanted["ActionsEnabled"] = True
        wanted["OKActions"] = wanted.pop("OkActions", [])
        if "dimensions" in inputs:
            wanted["Dimensions"] = _dimensions(inputs["dimensions"])
        if "metricQueries" in inputs:
            wanted["Metrics"] = [_query(query) for query in inputs["metricQueries"]]
        self.client("cloudwatch").put_metric_alarm(AlarmName=name, **wanted)

    def _template(self, name: str, inputs: Inputs) -> None:
        profile = inputs["iamInstanceProfile"]
        self.client("ec2").create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "ImageId": inputs["imageId"],
                "InstanceType": inputs["instanceType"],
                "IamInstanceProfile": {"Arn": profile["arn"]},
                "UserData": inputs["userData"],
                "MetadataOptions": {_pascal(key): value for key, value in inputs["metadataOptions"].items()},
            },
        )

    def _group(self, name: str, inputs: Inputs) -> None:
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=f"{name}-0a1b2c3",
            MinSize=inputs["minSize"],
            MaxSize=inputs["maxSize"],
            AvailabilityZones=[f"{REGION}a"],
            LaunchTemplate={"LaunchTemplateName": f"{name}-host", "Version": "1"},
            NewInstancesProtectedFromScaleIn=inputs.get("protectFromScaleIn", False),
        )

    def _scaling_policy(self, name: str, inputs: Inputs) -> None:
        wanted: dict[str, Any] = {"PolicyType": inputs["policyType"]}
        if "adjustmentType" in inputs:
            wanted["AdjustmentType"] = inputs["adjustmentType"]
            wanted["StepAdjustments"] = [
                {
                    "ScalingAdjustment": step["scalingAdjustment"],
                    **{
                        _pascal(key): float(step[key])
                        for key in ("metricIntervalLowerBound", "metricIntervalUpperBound")
                        if step.get(key) is not None
                    },
                }
                for step in inputs["stepAdjustments"]
            ]
        else:
            tracking = inputs["targetTrackingConfiguration"]
            metrics = tracking["customizedMetricSpecification"]["metrics"]
            wanted["TargetTrackingConfiguration"] = {
                "TargetValue": float(tracking["targetValue"]),
                "CustomizedMetricSpecification": {"Metrics": [_pascal_all(metric) for metric in metrics]},
            }
        self.client("autoscaling").put_scaling_policy(
            AutoScalingGroupName=inputs["autoscalingGroupName"], PolicyName=name, **wanted
        )

    def _log_group(self, name: str, inputs: Inputs) -> None:
        logs = self.client("logs")
        logs.create_log_group(logGroupName=inputs["name"])
        logs.put_retention_policy(logGroupName=inputs["name"], retentionInDays=inputs["retentionInDays"])

    def _function(self, name: str, inputs: Inputs) -> None:
        self.client("lambda").create_function(
            FunctionName=inputs["name"],
            PackageType=inputs["packageType"],
            Code={"ImageUri": inputs["imageUri"]},
            Role=inputs["role"],
            Timeout=inputs["timeout"],
            MemorySize=inputs["memorySize"],
            Architectures=inputs["architectures"],
            Environment={"Variables": inputs["environment"]["variables"]},
            LoggingConfig={_pascal(key): value for key, value in inputs["loggingConfig"].items()},
        )

    def _mapping(self, name: str, inputs: Inputs) -> None:
        self.client("lambda").create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"],
            FunctionName=inputs["functionName"],
            BatchSize=inputs["batchSize"],
            MaximumBatchingWindowInSeconds=inputs["maximumBatchingWindowInSeconds"],
            FunctionResponseTypes=inputs["functionResponseTypes"],
            ScalingConfig=_pascal_all(inputs["scalingConfig"]),
        )


def local_indexes(table: Inputs) -> list[Inputs]:
    """As CreateTable and CloudFormation have them."""
    return [
        {
            "IndexName": index["name"],
            "KeySchema": [
                {"AttributeName": table["hashKey"], "KeyType": "HASH"},
                {"AttributeName": index["rangeKey"], "KeyType": "RANGE"},
            ],
            "Projection": {
                "ProjectionType": index["projectionType"],
                **({"NonKeyAttributes": index["nonKeyAttributes"]} if "nonKeyAttributes" in index else {}),
            },
        }
        for index in table["localSecondaryIndexes"]
    ]


def _rank(resource: Recorded) -> int:
    """Dead-letter queues before the queues that name them."""
    return 1 if "redrivePolicy" in resource.inputs else 0


def _query(query: Inputs) -> Inputs:
    made: Inputs = {"Id": query["id"], "ReturnData": query["returnData"]}
    if "expression" in query:
        return made | {"Expression": query["expression"]}
    metric = query["metric"]
    return made | {
        "MetricStat": {
            "Metric": {
                "Namespace": metric["namespace"],
                "MetricName": metric["metricName"],
                "Dimensions": _dimensions(metric["dimensions"]),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        }
    }


def _dimensions(dimensions: Inputs) -> list[Inputs]:
    return [{"Name": key, "Value": value} for key, value in dimensions.items()]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]


def _pascal_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {_pascal(key): _pascal_all(each) for key, each in value.items()}
    return [_pascal_all(each) for each in value] if isinstance(value, list) else value
