"""Lanes as data: a queue, its dead-letter queue and what both must look like.

The one place for names and limits: the transport, the commands, Flower and the Pulumi program read it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqs import limits

DEFAULT_TAGS: Mapping[str, str] = {"Environment": "Production", "Purpose": "DecoupledMLInference"}


@dataclass(frozen=True, slots=True)
class Queue:
    """One SQS queue as it is declared; sizes in bytes, times in seconds."""

    name: str
    delay_seconds: int = 0
    max_message_bytes: int = 262_144
    retention_seconds: int = 86_400
    receive_wait_seconds: int = 10
    visibility_timeout_seconds: int = 30
    tags: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_TAGS))

    @property
    def fifo(self) -> bool:
        """Whether SQS treats this as a FIFO queue, which it tells by the name."""
        return self.name.endswith(".fifo")

    def attributes(self) -> dict[str, str]:
        """The CreateQueue attributes, as the strings that SQS takes; without a redrive policy."""
        attributes = {
            "DelaySeconds": str(self.delay_seconds),
            "MaximumMessageSize": str(self.max_message_bytes),
            "MessageRetentionPeriod": str(self.retention_seconds),
            "ReceiveMessageWaitTimeSeconds": str(self.receive_wait_seconds),
            "VisibilityTimeout": str(self.visibility_timeout_seconds),
        }
        if self.fifo:
            attributes["FifoQueue"] = "true"
        return attributes


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue and its dead-letter queue."""

    queue: Queue
    dead_letter_queue: Queue
    max_receive_count: int = 4

    @property
    def name(self) -> str:
        """The lane's name, which is its queue's."""
        return self.queue.name

    def redrive_policy(self, dead_letter_queue_arn: str) -> str:
        """The RedrivePolicy attribute of the lane's queue, as JSON."""
        return json.dumps({"deadLetterTargetArn": dead_letter_queue_arn, "maxReceiveCount": self.max_receive_count})


INFERENCE = Lane(
    queue=Queue(name="inference"),
    dead_letter_queue=Queue(
        name="inference-dlq",
        # Larger than any message of the lane, so that a reason always fits beside the body, and
        # as long as SQS allows, because a dead letter keeps its first enqueue time.
        max_message_bytes=limits.MAX_MESSAGE_BYTES,
        retention_seconds=limits.MAX_RETENTION_SECONDS,
    ),
)

LANES: tuple[Lane, ...] = (INFERENCE,)


def lane_of(queue_name: str, lanes: tuple[Lane, ...] = LANES) -> Lane | None:
    """The lane whose queue or dead-letter queue has this name, if one is declared."""
    for lane in lanes:
        if queue_name in (lane.queue.name, lane.dead_letter_queue.name):
            return lane
    return None
