"""Lanes as data: a queue, its dead-letter queue, what both must look like, and how a worker shares its slots.

The one place for names and limits: the transport, the commands, Flower and the Pulumi program read it.

| lane | for | slots |
|---|---|---|
| `inference` | requests, where nothing else is said | the engine's |
| `inference-interactive` | requests that somebody waits for: four receives for one of `inference` | the engine's |
| `inference-bulk` | requests that may wait: one receive for four of `inference`, and all that is left | the engine's |
| `inference-general` | tasks that are not inference: callbacks, chord_unlock, users' own | four of its own |
| `inference-lambda` | requests that a Lambda function answers; workers leave it alone unless `-Q` names it | |
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from celery_inference.sqs import limits

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
    """A queue and its dead-letter queue.

    Lanes share a worker's slots by `weight`: while all have messages, one of weight 4 gets four where one of
    weight 1 gets one. A lane with `own_slots` takes none of those: it has so many for itself, whatever runs elsewhere.
    `max_receive_count` is also how many attempts a request has. `invalid_input` says what becomes of a request that
    its caller got wrong, beside its FAILURE: a dead letter, or nothing ("fail"). `consumer` is who takes from it.
    """

    queue: Queue
    dead_letter_queue: Queue
    max_receive_count: int = 4
    weight: float = 1.0
    own_slots: int = 0
    invalid_input: Literal["dead-letter", "fail"] = "dead-letter"
    consumer: Literal["worker", "lambda"] = "worker"

    @property
    def name(self) -> str:
        """The lane's name, which is its queue's."""
        return self.queue.name

    def __json__(self) -> str:
        """As kombu tells of it, when a worker is asked for its connection's options."""
        return self.name

    def redrive_policy(self, dead_letter_queue_arn: str) -> str:
        """The RedrivePolicy attribute of the lane's queue, as JSON."""
        return json.dumps({"deadLetterTargetArn": dead_letter_queue_arn, "maxReceiveCount": self.max_receive_count})


class UnknownLaneError(ValueError):
    """No lane of this name is declared; the sentence has the nearest name, or all of them."""

    def __init__(self, name: str, lanes: "tuple[Lane, ...]") -> None:
        known = [lane.name for lane in lanes]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"declared are {', '.join(known)}"
        super().__init__(f"no lane {name!r} is declared; {hint}")
        self.name = name


def declared(name: str, *, weight: float = 1.0, own_slots: int = 0) -> Lane:
    """A lane as this project declares it: NAME, and NAME-dlq for its dead letters."""
    dead_letter_queue = Queue(
        name=f"{name}-dlq",
        # Larger than any message of the lane, so that a reason always fits beside the body, and
        # as long as SQS allows, because a dead letter keeps its first enqueue time.
        max_message_bytes=limits.MAX_MESSAGE_BYTES,
        retention_seconds=limits.MAX_RETENTION_SECONDS,
    )
    return Lane(Queue(name=name), dead_letter_queue, weight=weight, own_slots=own_slots)


INFERENCE = declared("inference", weight=4.0)
INTERACTIVE = declared("inference-interactive", weight=16.0)
BULK = declared("inference-bulk", weight=1.0)
GENERAL = declared("inference-general", own_slots=4)

# Of a function of at most two minutes. Lambda's pollers renew no leases, may gather a batch for five minutes, and count
# throttled invocations as receives: a visibility timeout of six times the function's, and five receives, are what
# docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for.
LAMBDA = replace(
    declared("inference-lambda"),
    queue=Queue(name="inference-lambda", visibility_timeout_seconds=720),
    max_receive_count=5,
    consumer="lambda",
)

LANES: tuple[Lane, ...] = (INFERENCE, INTERACTIVE, BULK, GENERAL, LAMBDA)


def lane_named(name: str, lanes: tuple[Lane, ...] = LANES) -> Lane:
    """The lane of this name; raises UnknownLaneError."""
    for lane in lanes:
        if lane.name == name:
            return lane
    raise UnknownLaneError(name, lanes)


def lane_of(queue_name: str, lanes: tuple[Lane, ...] = LANES) -> Lane | None:
    """The lane whose queue or dead-letter queue has this name, if one is declared."""
    for lane in lanes:
        if queue_name in (lane.queue.name, lane.dead_letter_queue.name):
            return lane
    return None
