"""What may stand beside a request's arguments when it is sent: what is in force. Everything else is refused.

Celery hands on every keyword that it does not know, as a property of the message that nobody reads.
"""

from collections.abc import Mapping
from typing import Any

from celery_inference.specs.errors import InvalidInput, UnknownOption

# What callers write, and so what a misspelt name is compared with.
CALLERS = frozenset(
    [
        "add_to_parent",
        "compression",
        "countdown",
        "dedup_key",
        "eta",
        "expires",
        "headers",
        "ignore_result",
        "link",
        "link_error",
        "queue",
        "retry",
        "retry_policy",
        "serializer",
        "shadow",
        "task_id",
        "stamped_headers",
        "MessageGroupId",
        "MessageDeduplicationId",
        "tenant",
        "message_attributes",
    ]
)
# What Celery 5.3 to 5.7 writes itself, for canvases, retries and beat, and Celery's tools with it. What names the
# transport's ways is looked at below.
_CELERYS = frozenset(
    [
        "args",
        "kwargs",
        "argsrepr",
        "kwargsrepr",
        "chain",
        "chord",
        "chord_size",
        "connection",
        "confirm_timeout",
        "content_encoding",
        "content_type",
        "correlation_id",
        "declare",
        "delivery_mode",
        "event_dispatcher",
        "exchange",
        "exchange_type",
        "expiration",
        "group_id",
        "group_index",
        "immediate",
        "interval",
        "mandatory",
        "max_retries",
        "origin",
        "parent_id",
        "periodic_task_name",
        "priority",
        "producer",
        "publisher",
        "replaced_task_nesting",
        "reply_to",
        "result_cls",
        "retries",
        "root_id",
        "route_name",
        "router",
        "routing_key",
        "soft_time_limit",
        "task_type",
        "time_limit",
        "timeout",
    ]
)
_JSON = ("json", "application/json")


def refuse_unused(options: Mapping[str, Any], serializer: str) -> None:
    """Raise for an option of `apply_async` or `send_task` that would be ignored; `serializer` is in force without one.

    Raises:
        UnknownOption: no such keyword; with the nearest one that there is.
        InvalidInput: the keyword is Celery's, and SQS or a worker of ours cannot do what it asks for.
    """
    stamps = options.get("stamped_headers") or ()
    for name in options:
        if name not in CALLERS and name not in _CELERYS and name not in stamps:
            raise UnknownOption.unknown("apply_async()'s keyword", name, CALLERS)
    asked = options.get("serializer") or serializer
    if asked not in _JSON:
        raise InvalidInput.because("serializer", f'is "{asked}"; messages are JSON alone', allowed=("json",))
    for name, remedy in _NOT_IN_FORCE.items():
        if options.get(name):
            raise InvalidInput.because(name, remedy)
    if options.get("queue") is None and (options.get("exchange") or options.get("routing_key")):
        name = "exchange" if options.get("exchange") else "routing_key"
        raise InvalidInput.because(name, "leads to no lane: name the lane by queue=")


_NO_LIMIT = (
    "is not in force, as a thread cannot be interrupted: expires= bounds the wait in the queue, and a model's"
    " time_limit_seconds its batches"
)
_NOT_IN_FORCE = {
    "priority": "is not in force, as SQS has no priorities: choose a lane by queue=",
    "time_limit": _NO_LIMIT,
    "soft_time_limit": _NO_LIMIT,
}
