"""Whether a lane's queues are as declared, and what this process may do with them."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from celery_inference.sqs import limits
from celery_inference.sqs.errors import DENIED_CODES, MISSING_CODES
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.messages.reason import REASON_ROOM_BYTES

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient
from celery_inference.sqs.queues.provisioning import CREATE, _code


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as declared. `fatal` where work cannot go on with it."""

    queue: str
    what: str
    declared: str
    found: str
    remedy: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.queue}: {self.what} is {self.found}, declared {self.declared}; {self.remedy}"


def check(client: "SQSClient", lane: Lane) -> list[Difference]:
    """Every difference between the lane as declared and as it is, permissions of a worker included.

    Permissions are tried with what cannot succeed: a bogus receipt handle, an oversized message. Blocks;
    raises botocore's errors other than missing queues and denials.
    """
    differences: list[Difference] = []
    dead = _found(client, lane.dead_letter_queue, differences)
    main = _found(client, lane.queue, differences)
    if dead is not None:
        _compare(lane.dead_letter_queue, dead[1], differences)
    if main is not None:
        _compare(lane.queue, main[1], differences)
        _check_redrive(lane, main[1], dead[1] if dead else None, differences)
        _check_permissions(client, lane.queue, main[0], differences)
    if main is not None and dead is not None:
        _check_pair(lane, main[1], dead[1], differences)
        if _denied(client.send_message, _oversized(lane.dead_letter_queue, dead[0])):
            differences.append(_denial(lane.dead_letter_queue, "SendMessage"))
    return differences


def _found(
    client: "SQSClient", queue: DeclaredQueue, differences: list[Difference]
) -> tuple[str, dict[str, str]] | None:
    """URL and attributes of a queue."""
    action = "GetQueueUrl"
    try:
        url = client.get_queue_url(QueueName=queue.name)["QueueUrl"]
        action = "GetQueueAttributes"
        answer: Any = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except ClientError as exc:
        if _code(exc) in MISSING_CODES:
            remedy = f"create it with `{CREATE}`, or check region, account and endpoint"
            differences.append(Difference(queue.name, "queue", "there", "missing", remedy, fatal=True))
            return None
        if _code(exc) in DENIED_CODES:
            differences.append(_denial(queue, action))
            return None
        raise
    return url, dict(answer["Attributes"])


def _denial(queue: DeclaredQueue, action: str) -> Difference:
    remedy = "allow it on this queue in the role's policy"
    return Difference(queue.name, f"permission sqs:{action}", "allowed", "denied", remedy, fatal=True)


def _compare(queue: DeclaredQueue, found: dict[str, str], differences: list[Difference]) -> None:
    for name, declared in queue.attributes().items():
        value = found.get(name, "absent")
        if value != declared:
            remedy = f"set it with `{CREATE}`, or change the declaration in celeryconfig.py"
            differences.append(Difference(queue.name, name, declared, value, remedy))


def _check_redrive(
    lane: Lane, found: dict[str, str], dead: dict[str, str] | None, differences: list[Difference]
) -> None:
    text = found.get("RedrivePolicy")
    policy = json.loads(text) if text else {}
    remedy = f"set it with `{CREATE}`"
    target = str(policy.get("deadLetterTargetArn", "none"))
    declared_arn = dead["QueueArn"] if dead else lane.dead_letter_queue.name
    if target != declared_arn:
        what = "dead-letter queue"
        differences.append(Difference(lane.name, what, declared_arn, target, remedy, fatal=not text))
    count = policy.get("maxReceiveCount")
    if text and int(count or 0) != lane.max_receive_count:
        what = "maxReceiveCount"
        differences.append(Difference(lane.name, what, str(lane.max_receive_count), str(count), remedy))


def _check_pair(lane: Lane, main: dict[str, str], dead: dict[str, str], differences: list[Difference]) -> None:
    name = lane.dead_letter_queue.name
    retention = int(dead.get("MessageRetentionPeriod", 0))
    if retention <= int(main.get("MessageRetentionPeriod", 0)):
        remedy = "raise it: dead letters keep their first enqueue time, and would be gone with the queue's own"
        declared = f"more than the queue's {main.get('MessageRetentionPeriod')} s"
        differences.append(Difference(name, "retention", declared, f"{retention} s", remedy))
    size = int(dead.get("MaximumMessageSize", 0))
    if size < min(int(main.get("MaximumMessageSize", 0)) + REASON_ROOM_BYTES, limits.MAX_MESSAGE_BYTES):
        remedy = "raise it by 4 KiB: the reason rides beside the body"
        declared = f"more than the queue's {main.get('MaximumMessageSize')} bytes"
        differences.append(Difference(name, "size limit", declared, f"{size} bytes", remedy))


def _oversized(queue: DeclaredQueue, url: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"QueueUrl": url, "MessageBody": "x" * (limits.MAX_MESSAGE_BYTES + 1)}
    if queue.fifo:
        parameters |= {"MessageGroupId": "check", "MessageDeduplicationId": "check"}
    return parameters


def _check_permissions(client: "SQSClient", queue: DeclaredQueue, url: str, differences: list[Difference]) -> None:
    bogus = {"QueueUrl": url, "ReceiptHandle": "not-a-receipt-handle"}
    tries: list[tuple[str, Any, dict[str, Any]]] = [
        ("SendMessage", client.send_message, _oversized(queue, url)),
        ("DeleteMessage", client.delete_message, bogus),
        ("ChangeMessageVisibility", client.change_message_visibility, bogus | {"VisibilityTimeout": 0}),
    ]
    for action, function, parameters in tries:
        if _denied(function, parameters):
            differences.append(_denial(queue, action))


def _denied(function: Any, parameters: dict[str, Any]) -> bool:
    try:
        function(**parameters)
    except ClientError as exc:
        return _code(exc) in DENIED_CODES
    return False
