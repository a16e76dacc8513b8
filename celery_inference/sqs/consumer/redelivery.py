"""The version window: for how long a message that this worker does not understand is left to newer ones.

While workers are rolled out, a lane holds messages of both versions. An older worker releases what it does not know,
soon at first and then ever more rarely, and makes it a dead letter when the window is over. The window opens when the
message was first sent, by SQS's clock; copies of the message remember that in their mark.
"""

import math
import random
import time
from typing import TYPE_CHECKING, Any

from celery_inference.sqs import limits
from celery_inference.sqs.consumer.deliveries import find
from celery_inference.sqs.lanes import LANES, Lane, lane_of
from celery_inference.sqs.messages import delays
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Mark, mark_of

if TYPE_CHECKING:
    from kombu.message import Message

FIRST_SECONDS = 5.0
MOST_SECONDS = 300.0
JITTER = 0.2


def seconds_until_known(
    message: "Message | str", window_seconds: float, lanes: tuple[Lane, ...] = LANES
) -> float | None:
    """Seconds after which to look at a message again that is not understood here; None: its window is over.

    Takes the kombu message or its delivery tag. None, too, for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is None:
        return None
    elapsed = time.time() - (mark_of(delivery.attributes).first_sent_at or delivery.sent_at)
    left = window_seconds - elapsed
    if left <= 0:
        return None
    if delivery.queue.endswith(".fifo"):
        # No copy may overtake its group, so the receives that SQS allows have to last: the first tries are near, the
        # last is at the window's end, and none is the one after which SQS moves the message away.
        lane = lane_of(delivery.queue, lanes)
        tries = (lane.max_receive_count if lane is not None else 2) - delivery.count
        return max(1.0, left / 4 ** (tries - 1)) if tries > 0 else None
    wait = min(MOST_SECONDS, max(FIRST_SECONDS, elapsed)) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return max(1.0, math.ceil(min(wait, left)))


def fresh(delivery: Delivery, seconds: float) -> dict[str, Any]:
    """SendMessage's parameters for the same message with receives to spare, marked as one that has been here."""
    parameters = postponed(delivery, seconds)
    attributes = parameters["MessageAttributes"]
    if REASON_ATTRIBUTE in attributes or len(attributes) < limits.MAX_MESSAGE_ATTRIBUTES:
        mark = mark_of(attributes)
        first_sent_at = mark.first_sent_at or delivery.sent_at
        again = Mark(mark.generation, mark.returns + 1, first_sent_at, mark.deliveries + delivery.count)
        parameters["MessageAttributes"] = {**attributes, REASON_ATTRIBUTE: again.attribute()}
    return parameters


def postponed(delivery: Delivery, left: float) -> dict[str, Any]:
    """SendMessage's parameters for the same message with the rest of its delay."""
    parameters: dict[str, Any] = {
        "QueueUrl": delivery.queue_url,
        "MessageBody": delivery.body,
        "MessageAttributes": delivery.attributes,
        "DelaySeconds": delays.delay_seconds(left),
    }
    group = delivery.system_attributes.get("MessageGroupId")
    if group is not None:
        parameters["MessageGroupId"] = group
    return parameters
