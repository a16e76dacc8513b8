"""A look into a dead-letter queue, by receiving its letters and giving them back."""

from typing import TYPE_CHECKING

from celery_inference.sqs import limits
from celery_inference.sqs.dead_letters.letter import DeadLetter, dead_letter_in
from celery_inference.sqs.lanes import Lane

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

PEEK_SECONDS = 5  # how long a message that is looked at stays invisible if it cannot be given back


def peek(client: "SQSClient", lane: Lane, limit: int = 10) -> list[DeadLetter]:
    """Look at up to `limit` dead letters of a lane, by receiving them and giving them back.

    That costs each of them a delivery, and makes it invisible to others for a moment; SQS offers no other
    way. Which ones are seen, and in which order, is SQS's choice. Blocks; raises botocore's errors.
    """
    url = client.get_queue_url(QueueName=lane.dead_letter_queue.name)["QueueUrl"]
    seen: dict[str, DeadLetter] = {}
    receipts: list[str] = []
    try:
        while len(seen) < limit:
            messages = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(limits.MAX_BATCH_ENTRIES, limit - len(seen)),
                VisibilityTimeout=PEEK_SECONDS,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            ).get("Messages", [])
            if not messages:
                break
            receipts.extend(message["ReceiptHandle"] for message in messages)
            for message in messages:
                letter = dead_letter_in(dict(message))
                seen[letter.message_id] = letter
    finally:
        for start in range(0, len(receipts), limits.MAX_BATCH_ENTRIES):
            client.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for index, receipt in enumerate(receipts[start : start + limits.MAX_BATCH_ENTRIES])
                ],
            )
    return list(seen.values())
