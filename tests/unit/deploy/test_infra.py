"""The Pulumi program against mocks, moto and cfn-lint; each of these with a fault that it must catch."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws

from celery_inference.results.dynamodb import schema, table
from celery_inference.results.dynamodb.url import TableUrl as DynamoDBPlace
from celery_inference.sqs.lanes import LANES
from deploy.infra.scaling import MAX_STEPS, wake_steps
from tests.support.cloudformation import problems
from tests.support.lanes import LAMBDA
from tests.support.moto_bridge import Bridge
from tests.support.recorded_stack import FLEET, FUNCTION, REGION, RecordedStack, record

QUEUE = "aws:sqs/queue:Queue"
WORKERS = [lane for lane in LANES if lane.consumer == "worker"]


@pytest.fixture(scope="module")
def stack() -> RecordedStack:
    return record({"fleet": FLEET, "lambda": FUNCTION})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    for name, value in (("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any"), ("AWS_DEFAULT_REGION", REGION)):
        monkeypatch.setenv(name, value)
    # moto would ask Docker for the function, and let sends to its lane fail without one.
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield Bridge()


def with_fault(stack: RecordedStack, name: str, **inputs: Any) -> RecordedStack:
    """The stack with other inputs in the resource of this name, of the first type that has such inputs."""
    for index, resource in enumerate(stack.resources):
        if resource.name == name and set(inputs) & set(resource.inputs):
            faulty = replace(resource, inputs=resource.inputs | inputs)
            return replace(stack, resources=[*stack.resources[:index], faulty, *stack.resources[index + 1 :]])
    raise AssertionError(f"no {name} with {sorted(inputs)}")


def test_the_queue_is_the_one_that_was_asked_for(stack: RecordedStack) -> None:
    queue = stack.of(QUEUE)["inference"]
    assert queue["delaySeconds"] == 0
    assert queue["maxMessageSize"] == 262_144
    assert queue["messageRetentionSeconds"] == 86_400
    assert queue["receiveWaitTimeSeconds"] == 10
    assert queue["tags"] == {"Environment": "Production", "Purpose": "DecoupledMLInference"}
    policy = json.loads(queue["redrivePolicy"])
    assert policy["maxReceiveCount"] == 4
    assert policy["deadLetterTargetArn"] == stack.exports["ml_inference_dead_letter_queue_arn"]
    assert stack.exports["ml_inference_queue_arn"].endswith(":inference")
    assert stack.exports["ml_inference_queue_url"].endswith("/inference")


def test_code_and_cloud_have_the_same_lanes(stack: RecordedStack) -> None:
    queues = stack.of(QUEUE)
    for lane in LANES:
        for declared in (lane.queue, lane.dead_letter_queue):
            made = queues[declared.name]
            names = {
                "delaySeconds": "DelaySeconds",
                "maxMessageSize": "MaximumMessageSize",
                "messageRetentionSeconds": "MessageRetentionPeriod",
                "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
                "visibilityTimeoutSeconds": "VisibilityTimeout",
            }
            assert {theirs: str(made[ours]) for ours, theirs in names.items()} == declared.attributes()
    assert set(queues) == {name for lane in LANES for name in (lane.queue.name, lane.dead_letter_queue.name)}


def test_the_table_is_the_one_that_the_store_wants(stack: RecordedStack, aws: Bridge) -> None:
    (declared,) = stack.of("aws:dynamodb/table:Table").values()
    aws.make(stack, only=("aws:dynamodb/table:Table",))
    made = aws.client("dynamodb").describe_table(TableName=declared["name"])["Table"]
    assert schema.differences(made) == []
    wanted = schema.table(declared["name"])
    projections = {index["IndexName"]: index["Projection"] for index in wanted["LocalSecondaryIndexes"]}
    assert {index["IndexName"]: index["Projection"] for index in made["LocalSecondaryIndexes"]} == projections
    assert made["AttributeDefinitions"] == wanted["AttributeDefinitions"]
    assert declared["billingMode"] == wanted["BillingMode"] == "PAY_PER_REQUEST"
    assert declared["ttl"] == {"attributeName": schema.TTL, "enabled": True}
    assert declared["pointInTimeRecovery"]["enabled"] is True
    assert DynamoDBPlace.of(stack.exports["result_backend"]).table == declared["name"]


def test_policies_allow_the_calls_of_the_store_and_no_others(stack: RecordedStack) -> None:
    source = (Path(table.__file__)).read_text()
    operations = set(re.findall(r'(?:call|_until_done)\(\s*"([a-z_]+)"', source))
    assert len(operations) == 8
    called = {f"dynamodb:{_camel(operation)}" for operation in operations}
    (declared,) = stack.of("aws:dynamodb/table:Table").values()
    for name, policy in stack.of("aws:iam/policy:Policy").items():
        rows = {row["Sid"]: row for row in json.loads(policy["policy"])["Statement"]}
        allowed = set(rows["Results"]["Action"])
        assert rows["Results"]["Resource"].endswith(f":table/{declared['name']}")
        if name.endswith("producer"):
            assert called - allowed == {"dynamodb:Query", "dynamodb:DescribeTable"}
            assert allowed < called
        else:
            assert allowed == called
            assert rows["Letters"]["Action"] == ["dynamodb:Query"]
            assert [each.rpartition("/")[2] for each in rows["Letters"]["Resource"]] == list(schema.INDEXES)


def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def test_a_prefix_begins_every_name_and_hosts_and_function_know_it(stack: RecordedStack) -> None:
    staging = record({"queues": {"queue_prefix": "Staging_"}, "fleet": FLEET, "lambda": FUNCTION})
    assert set(staging.of(QUEUE)) == {f"Staging_{name}" for name in stack.of(QUEUE)}
    for resource in staging.resources:
        names = [
            value for key, value in resource.inputs.items() if key in ("name", "bucket") and isinstance(value, str)
        ]
        assert all("taging" in name for name in names), resource
    text = json.dumps([resource.inputs for resource in staging.resources])
    assert ":Staging_celery-broadcast" in text
    (template,) = staging.of("aws:ec2/launchTemplate:LaunchTemplate").values()
    assert "CELERY_INFERENCE_QUEUE_PREFIX=Staging_" in base64.b64decode(template["userData"]).decode()
    (function,) = staging.of("aws:lambda/function:Function").values()
    assert function["environment"]["variables"]["CELERY_INFERENCE_QUEUE_PREFIX"] == "Staging_"


def test_lanes_come_from_the_file_that_a_stack_names(tmp_path: Path) -> None:
    file = tmp_path / "lanes.toml"
    file.write_text("[main]\ndefault = true\nretention_seconds = 7200\n[slow]\nmax_receive_count = 9\n")
    queues = record({"queues": {"lanes": str(file)}}).of(QUEUE)
    assert set(queues) == {"main", "main-dlq", "slow", "slow-dlq"}
    assert queues["main"]["messageRetentionSeconds"] == 7200
    assert json.loads(queues["slow"]["redrivePolicy"])["maxReceiveCount"] == 9


def test_a_dead_letter_lives_for_14_days_and_has_room_for_its_reason(stack: RecordedStack) -> None:
    for lane in LANES:
        letters = stack.of(QUEUE)[lane.dead_letter_queue.name]
        assert letters["messageRetentionSeconds"] == 14 * 86_400
        assert letters["maxMessageSize"] == 1_048_576
        allowed = stack.of("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")[lane.dead_letter_queue.name]
        sources = json.loads(allowed["redriveAllowPolicy"])
        assert [arn.rpartition(":")[2] for arn in sources["sourceQueueArns"]] == [lane.name]


def test_every_queue_is_encrypted_and_refuses_plain_http(stack: RecordedStack) -> None:
    policies = stack.of("aws:sqs/queuePolicy:QueuePolicy")
    for name, queue in stack.of(QUEUE).items():
        assert queue["sqsManagedSseEnabled"] is True
        (statement,) = json.loads(policies[name]["policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_key_of_ones_own_encrypts_queues_table_and_objects_and_may_be_used() -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d"
    stack = record({"queues": {"kms_key_arn": key}})
    assert {queue["kmsMasterKeyId"] for queue in stack.of(QUEUE).values()} == {key}
    assert stack.of("aws:dynamodb/table:Table")["ml-inference-results"]["serverSideEncryption"]["kmsKeyArn"] == key
    for policy in stack.of("aws:iam/policy:Policy").values():
        assert "kms:Decrypt" in policy["policy"]


def test_no_policy_allows_more_than_named_queues(stack: RecordedStack) -> None:
    for policy in stack.of("aws:iam/policy:Policy").values():
        for statement in json.loads(policy["policy"])["Statement"]:
            assert not any(action.endswith("*") for action in statement["Action"])
            if statement["Resource"] == "*":
                assert statement["Action"] == ["sqs:ListQueues"]


def test_who_forwards_may_invoke_the_named_endpoints_and_nobody_else_may() -> None:
    policies = record({"endpoints": ["my-model"]}).of("aws:iam/policy:Policy")
    for role in ("worker", "function"):
        may = {row["Sid"]: row for row in json.loads(policies[f"ml-inference-{role}"]["policy"])["Statement"]}
        assert may["Endpoints"]["Resource"] == ["arn:aws:sagemaker:eu-central-1:123456789012:endpoint/my-model"]
        assert may["EndpointObjects"]["Resource"].endswith("/*")
    for role in ("producer", "operator"):
        assert "sagemaker:" not in policies[f"ml-inference-{role}"]["policy"]


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("producer", ["s3:PutObject", "s3:DeleteObject"]),
        ("worker", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]),
        ("operator", ["s3:GetObject"]),
    ],
)
def test_each_role_may_do_what_it_needs_with_claimed_payloads_and_with_nothing_else_in_the_bucket(
    stack: RecordedStack, role: str, actions: list[str]
) -> None:
    policy = json.loads(stack.of("aws:iam/policy:Policy")[f"ml-inference-{role}"]["policy"])
    about_s3 = {one["Sid"]: one for one in policy["Statement"] if any("s3:" in action for action in one["Action"])}
    assert about_s3["Claims"]["Action"] == actions
    assert about_s3["Claims"]["Resource"].endswith("/claims/*")
    assert about_s3.get("ClaimIsGone", {}).get("Action", []) == ([] if role == "producer" else ["s3:ListBucket"])
    assert len(about_s3) == (1 if role == "producer" else 2)


def test_the_bucket_is_private_and_forgets(stack: RecordedStack) -> None:
    block = stack.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")["ml-inference-objects"]
    assert all(value is True for key, value in block.items() if key != "bucket")
    rules = stack.of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")["ml-inference-objects"]
    assert rules["rules"][0]["expiration"]["days"] == 30


def test_without_a_fleet_there_is_none() -> None:
    stack = record({})
    assert not [resource for resource in stack.resources if resource.type.startswith(("aws:ec2", "aws:autoscaling"))]
    assert "fleet_group" not in stack.exports


def test_without_a_function_there_is_none_and_its_lane_is_as_the_code_has_it() -> None:
    stack = record({})
    assert not [resource for resource in stack.resources if resource.type.startswith("aws:lambda")]
    assert stack.of(QUEUE)[LAMBDA.name]["visibilityTimeoutSeconds"] == LAMBDA.queue.visibility_timeout_seconds


def test_the_lane_of_a_function_fits_its_timeout() -> None:
    stack = record({"lambda": FUNCTION | {"timeout_seconds": 300, "max_receive_count": 8}})
    queue = stack.of(QUEUE)[LAMBDA.name]
    assert queue["visibilityTimeoutSeconds"] == 6 * 300
    assert json.loads(queue["redrivePolicy"])["maxReceiveCount"] == 8
    assert stack.of(QUEUE)["inference"]["visibilityTimeoutSeconds"] == 30


def test_one_failed_message_brings_back_no_other(stack: RecordedStack) -> None:
    variables = stack.of("aws:lambda/function:Function")["ml-inference"]["environment"]["variables"]
    assert variables["CELERY_INFERENCE_RESULT_BACKEND"] == stack.exports["result_backend"]
    assert variables["CELERY_INFERENCE_CLAIM_CHECK"] == stack.exports["claim_check"]
    mapping = stack.of("aws:lambda/eventSourceMapping:EventSourceMapping")["ml-inference-lane"]
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["eventSourceArn"].endswith(f":{LAMBDA.name}")
    assert mapping["scalingConfig"] == {"maximumConcurrency": 10}


def test_the_function_takes_from_its_lane_alone_and_buries_in_its_letters_alone(stack: RecordedStack) -> None:
    policy = json.loads(stack.of("aws:iam/policy:Policy")["ml-inference-function"]["policy"])
    may = {statement["Sid"]: statement for statement in policy["Statement"]}
    taking = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
    assert [arn.rpartition(":")[2] for arn in may["Consume"]["Resource"]] == [LAMBDA.name]
    assert taking <= set(may["Consume"]["Action"])
    assert [arn.rpartition(":")[2] for arn in may["Bury"]["Resource"]] == [LAMBDA.dead_letter_queue.name]
    for sid in ("Send", "Bury"):
        assert not taking & set(may[sid]["Action"])
    assert set(may) == {"Consume", "Send", "Bury", "Results", "Letters", "Claims", "ClaimIsGone"}
    worker = json.loads(stack.of("aws:iam/policy:Policy")["ml-inference-worker"]["policy"])
    (consumed,) = (statement for statement in worker["Statement"] if statement["Sid"] == "Consume")
    assert LAMBDA.name not in [arn.rpartition(":")[2] for arn in consumed["Resource"]]


def test_hosts_boot_into_a_worker(stack: RecordedStack) -> None:
    template = stack.of("aws:ec2/launchTemplate:LaunchTemplate")["ml-inference-host"]
    assert template["metadataOptions"]["httpTokens"] == "required"
    text = base64.b64decode(template["userData"]).decode()
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    written = {file["path"]: file for file in document["write_files"]}
    environment = written["/etc/celery-inference/environment"]
    assert f"IMAGE={FLEET['worker_image']}\n" in environment["content"]
    assert "CELERY_INFERENCE_RESULT_BACKEND=dynamodb://" in environment["content"]
    assert f"AWS_DEFAULT_REGION={REGION}\n" in environment["content"]
    assert "CELERY_INFERENCE_HOST=ec2\n" in environment["content"]
    assert environment["permissions"] == "0600"
    assert written["/usr/local/lib/celery-inference/registry-login"]["permissions"] == "0755"
    (disk,) = template["blockDeviceMappings"]
    assert (disk["deviceName"], disk["ebs"]["volumeSize"]) == ("/dev/sda1", 100)
    started = [command[-1] for command in document["runcmd"] if "--now" in command]
    assert [f"/etc/systemd/system/{unit}" in written for unit in started] == [True]


def test_a_host_may_protect_itself_in_its_own_group_alone(stack: RecordedStack) -> None:
    policy = json.loads(stack.of("aws:iam/rolePolicy:RolePolicy")["ml-inference-host-protection"]["policy"])
    resources = {statement["Action"]: statement["Resource"] for statement in policy["Statement"]}
    assert resources == {
        "autoscaling:SetInstanceProtection": f"arn:aws:autoscaling:{REGION}:123456789012:ml-inference-0a1b2c3",
        "autoscaling:DescribeAutoScalingInstances": "*",
    }


def test_the_fleet_sleeps_at_zero_and_wakes_in_one_step(stack: RecordedStack) -> None:
    group = stack.of("aws:autoscaling/group:Group")["ml-inference"]
    assert group["minSize"] == 0
    policies = stack.of("aws:autoscaling/policy:Policy")
    steps = policies["ml-inference-wake"]["stepAdjustments"]
    assert [step["scalingAdjustment"] for step in steps] == [1, 2, 3, 4]
    assert policies["ml-inference-sleep"]["stepAdjustments"][0]["scalingAdjustment"] == 0
    alarms = stack.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    for name in ("wake", "sleep"):
        assert alarms[f"ml-inference-{name}"]["alarmActions"] == [
            f"arn:aws:autoscaling:eu-central-1:123456789012:ml-inference-{name}-0a1b2c3"
        ]
    sleeps_on = alarms["ml-inference-sleep"]["metricQueries"][-1]["expression"]
    assert sleeps_on == "+".join(f"v{index}+f{index}" for index, _ in enumerate(WORKERS))


@pytest.mark.parametrize("most", [1, 3, 20, 21, 500])
def test_wake_steps_leave_no_gap_and_end_at_the_largest_fleet(most: int) -> None:
    steps = wake_steps(most, 50.0)
    assert len(steps) == min(most, MAX_STEPS)
    assert steps[0][0] == 0
    assert [end for _, end, _ in steps[:-1]] == [start for start, _, _ in steps[1:]]
    assert (steps[-1][1], steps[-1][2]) == (None, most)
    for start, _, workers in steps:
        assert workers * 50.0 > start


def test_moto_makes_all_of_it(stack: RecordedStack, aws: Bridge) -> None:
    aws.make(stack)
    url = aws.client("sqs").get_queue_url(QueueName="inference")["QueueUrl"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 4
    assert len(aws.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 2 * len(LANES) + 4


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("inference", {"redrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:gone"}'}),
        ("ml-inference-worker", {"policy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps"}]}'}),
        ("ml-inference-objects", {"bucket": "no-such-bucket", "blockPublicAcls": True}),
        ("ml-inference-results", {"hashKey": "task_id"}),
        ("ml-inference-lane", {"eventSourceArn": "arn:aws:sqs:eu-central-1:123456789012:gone"}),
        ("ml-inference", {"packageType": "Image", "role": "arn:aws:iam::123456789012:role/gone"}),
    ],
)
def test_moto_refuses_a_fault(stack: RecordedStack, aws: Bridge, name: str, inputs: dict[str, Any]) -> None:
    with pytest.raises(ClientError):
        aws.make(with_fault(stack, name, **inputs))


def test_cfn_lint_finds_nothing(stack: RecordedStack) -> None:
    assert problems(stack) == []


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("inference", {"delaySeconds": 901}),
        ("inference", {"receiveWaitTimeSeconds": 21}),
        ("inference-dlq", {"messageRetentionSeconds": 1_209_601}),
        ("inference", {"maxMessageSize": 2_000_000}),
        ("inference-dead-letters", {"comparisonOperator": "MoreThan"}),
        ("inference-oldest-age", {"treatMissingData": "ignored"}),
        ("ml-inference-worker", {"policy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps"}]}'}),
        ("ml-inference-host", {"imageId": "the newest"}),
        ("ml-inference-wake", {"adjustmentType": "Exact"}),
        ("ml-inference-results", {"billingMode": "FREE"}),
        ("ml-inference-lane", {"batchSize": 10_001}),
        ("ml-inference-lane", {"functionResponseTypes": ["ReportFailures"]}),
        ("ml-inference-lane", {"scalingConfig": {"maximumConcurrency": 1}}),
        ("ml-inference", {"timeout": 901}),
        ("ml-inference", {"memorySize": 64}),
        ("ml-inference", {"packageType": "Container"}),
        ("ml-inference-function", {"retentionInDays": 31}),
    ],
)
def test_cfn_lint_finds_a_fault(stack: RecordedStack, name: str, inputs: dict[str, Any]) -> None:
    assert problems(with_fault(stack, name, **inputs))
