"""Making a lane's two queues as they are declared, and saying where the ones that exist differ.

Neither receives a message, ever: that would cost it a delivery.
"""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from celery_inference.sqs.errors import MISSING_CODES
from celery_inference.sqs.lanes import DeclaredQueue, Lane

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

CREATE = "celery-inference queues create"


def create(client: "SQSClient", lane: Lane) -> None:
    """Make the lane's DLQ and queue, or bring existing ones to what is declared. May be repeated.

    Blocks; raises botocore's errors. SQS itself takes up to a minute until changed attributes hold everywhere.
    """
    dead_letter_url = _ensure(client, lane.dead_letter_queue, {})
    dead_letter_arn = _arn(client, dead_letter_url)
    url = _ensure(client, lane.queue, {"RedrivePolicy": lane.redrive_policy(dead_letter_arn)})
    client.set_queue_attributes(
        QueueUrl=dead_letter_url, Attributes={"RedriveAllowPolicy": _allow_policy(_arn(client, url))}
    )


def _allow_policy(source_arn: str) -> str:
    return json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [source_arn]})


def _ensure(client: "SQSClient", queue: DeclaredQueue, extra: dict[str, str]) -> str:
    attributes = queue.attributes() | extra
    try:
        url = client.get_queue_url(QueueName=queue.name)["QueueUrl"]
    except ClientError as exc:
        if _code(exc) not in MISSING_CODES:
            raise
        created: Any = client.create_queue(
            QueueName=queue.name,
            Attributes=attributes,  # type: ignore[arg-type]  # the stubs want literal names
            tags=dict(queue.tags),
        )
        return str(created["QueueUrl"])
    attributes.pop("FifoQueue", None)  # fixed at creation; sending it again is refused
    client.set_queue_attributes(QueueUrl=url, Attributes=attributes)  # type: ignore[arg-type]
    if queue.tags:
        client.tag_queue(QueueUrl=url, Tags=dict(queue.tags))
    return url


def _arn(client: "SQSClient", url: str) -> str:
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))
