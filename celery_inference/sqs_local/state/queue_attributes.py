"""Queue attributes: parsed from the strings that callers set, refused and shown as SQS does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http.errors import fifo_only, invalid_attribute, invalid_value, unknown_attribute

COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)

_RANGES: Final = {
    "DelaySeconds": (0, limits.MAX_DELAY_SECONDS),
    "MaximumMessageSize": (limits.MIN_MESSAGE_SIZE_SETTING_BYTES, limits.MAX_MESSAGE_BYTES),
    "MessageRetentionPeriod": (limits.MIN_RETENTION_SECONDS, limits.MAX_RETENTION_SECONDS),
    "ReceiveMessageWaitTimeSeconds": (0, limits.MAX_RECEIVE_WAIT_SECONDS),
    "VisibilityTimeout": (0, limits.MAX_VISIBILITY_SECONDS),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
_DEFAULTS: Final = {
    "DelaySeconds": "0",
    "MaximumMessageSize": str(limits.MAX_MESSAGE_BYTES),
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
_FIFO_DEFAULTS: Final = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
_BOOLEANS: Final = ("ContentBasedDeduplication", "FifoQueue", "SqsManagedSseEnabled")
_CHOICES: Final = {
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_FIFO_ONLY: Final = ("ContentBasedDeduplication", *_CHOICES)
_POLICIES: Final = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
_FREE_TEXT: Final = ("KmsMasterKeyId",)
SETTABLE: Final = frozenset((*_RANGES, *_BOOLEANS, *_CHOICES, *_POLICIES, *_FREE_TEXT))
_PERMISSIONS: Final = ("allowAll", "denyAll", "byQueue")
_MAX_SOURCE_QUEUES: Final = 10  # API_SetQueueAttributes: RedriveAllowPolicy.sourceQueueArns
# Each file of the journal repeats the attributes of all queues, so no string among them is without a bound.
_MAX_ARN_CHARACTERS: Final = 512  # of a queue's, less than 200 are needed
_MAX_KEY_ID_CHARACTERS: Final = 2_048  # KMS's API_DescribeKey: KeyId


@dataclass(frozen=True)
class RedrivePolicy:
    """Where messages go that were received `max_receives` times in vain.

    `target` is the name in `target_arn`. The whole ARN decides when it is set, and the name alone from then on: what
    was set while the server had another region goes on.
    """

    target: str
    target_arn: str
    max_receives: int


@dataclass(frozen=True)
class QueueAttributes:
    """The attributes of one queue: `shown` as strings, and those that the queue works by as numbers."""

    shown: Mapping[str, str]
    fifo: bool
    delay_ms: int
    visibility_ms: int
    retention_ms: int
    wait_seconds: int
    max_bytes: int
    content_dedup: bool
    dedup_by_group: bool
    redrive: RedrivePolicy | None
    allow: Mapping[str, Any] | None

    @classmethod
    def create(cls, given: Mapping[str, str], *, fifo: bool) -> QueueAttributes:
        """Raises SqsError for unknown names, bad values, and values that do not go together."""
        return cls._from({**_DEFAULTS, **(_FIFO_DEFAULTS if fifo else {})}, given, fifo)

    def changed(self, given: Mapping[str, str]) -> QueueAttributes:
        return self._from(self.shown, given, self.fifo)

    @classmethod
    def restore(cls, shown: Mapping[str, str]) -> QueueAttributes:
        """From a journal, which may hold what is refused by now."""
        return cls._from(shown, {}, "FifoQueue" in shown)

    @classmethod
    def _from(cls, base: Mapping[str, str], given: Mapping[str, str], fifo: bool) -> QueueAttributes:
        shown = dict(base)
        for name, value in given.items():
            text = _checked(name, value, fifo)
            if text:
                shown[name] = text
            else:
                shown.pop(name, None)
        _check_together(shown, given)
        if shown.get("KmsMasterKeyId"):
            shown["SqsManagedSseEnabled"] = "false"
        elif "KmsMasterKeyId" in given:
            shown.pop("KmsDataKeyReusePeriodSeconds", None)
        redrive = json.loads(shown.get("RedrivePolicy", "null"))
        return cls(
            shown=shown,
            fifo=fifo,
            delay_ms=int(shown["DelaySeconds"]) * 1000,
            visibility_ms=int(shown["VisibilityTimeout"]) * 1000,
            retention_ms=int(shown["MessageRetentionPeriod"]) * 1000,
            wait_seconds=int(shown["ReceiveMessageWaitTimeSeconds"]),
            max_bytes=int(shown["MaximumMessageSize"]),
            content_dedup=shown.get("ContentBasedDeduplication") == "true",
            dedup_by_group=shown.get("DeduplicationScope") == "messageGroup",
            redrive=redrive and _redrive(redrive["deadLetterTargetArn"], redrive["maxReceiveCount"]),
            allow=json.loads(shown.get("RedriveAllowPolicy", "null")),
        )

    def difference(self, given: Mapping[str, str]) -> str | None:
        """The first given attribute whose value is not ours."""
        wanted = {name: _checked(name, value, self.fifo) for name, value in given.items()}
        return next((name for name, value in wanted.items() if value != self.shown.get(name, "")), None)

    def allows_source(self, source_arn: str) -> bool:
        permission = (self.allow or {}).get("redrivePermission", "allowAll")
        if permission == "byQueue":
            return source_arn in (self.allow or {})["sourceQueueArns"]
        return bool(permission == "allowAll")


def name_of(arn: str) -> str:
    return arn.rpartition(":")[2]


def _redrive(target_arn: str, max_receives: int) -> RedrivePolicy:
    return RedrivePolicy(name_of(target_arn), target_arn, max_receives)


def _check_together(shown: Mapping[str, str], given: Mapping[str, str]) -> None:
    """What is given must go with itself and with what is there."""
    if shown.get("KmsMasterKeyId") and given.get("SqsManagedSseEnabled", "").lower() == "true":
        raise invalid_attribute(
            "SqsManagedSseEnabled",
            "You can use one type of server-side encryption (SSE) at one time."
            " You can either enable KMS SSE or SQS SSE.",
        )
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    by_group = shown.get("FifoThroughputLimit") == "perMessageGroupId"
    if by_group and shown.get("DeduplicationScope") != "messageGroup" and not given.keys().isdisjoint(_CHOICES):
        reason = "perMessageGroupId is allowed only when DeduplicationScope is messageGroup."
        raise invalid_attribute("FifoThroughputLimit", reason)


def _checked(name: str, value: str, fifo: bool) -> str:
    """The value as SQS stores it; "" removes the attribute."""
    if name not in SETTABLE or (name == "FifoQueue" and not fifo):
        raise unknown_attribute(name)
    if name in _FIFO_ONLY and not fifo:
        raise fifo_only(name)
    if name in _RANGES:
        low, high = _RANGES[name]
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and low <= int(value) <= high):
            raise invalid_attribute(name)
        return str(int(value))
    if name in _BOOLEANS:
        lowered = value.lower()
        if lowered not in ("true", "false"):
            raise invalid_attribute(name)
        if name == "FifoQueue" and lowered == "false":
            raise invalid_attribute(name, "Modifying queue type is not supported.")
        return lowered
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise invalid_attribute(name)
        return value
    if name in _POLICIES and value:
        return _POLICY_CHECKS[name](value)
    if name == "KmsMasterKeyId" and len(value) > _MAX_KEY_ID_CHARACTERS:
        raise invalid_attribute(name, f"It can be at most {_MAX_KEY_ID_CHARACTERS} characters long.")
    return value


def _json_map(value: str) -> dict[str, Any] | None:
    """None where it is something else, nested deeper than the parser goes, or has half a surrogate pair in it."""
    try:
        parsed = json.loads(value)
        json.dumps(parsed, ensure_ascii=False).encode()  # an error may have to say what is in it
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _parsed(name: str, value: str) -> dict[str, Any]:
    parsed = _json_map(value)
    if parsed is None:
        raise invalid_value(value, name, "Redrive policy is not a valid JSON map.")
    return parsed


def _policy(value: str) -> str:
    if len(value.encode()) > limits.MAX_POLICY_BYTES:
        raise invalid_attribute("Policy", f"It can be at most {limits.MAX_POLICY_BYTES} bytes long.")
    if _json_map(value) is None:
        raise invalid_attribute("Policy")
    return value


def _is_arn(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_ARN_CHARACTERS
        and value.startswith("arn:")
        and value.count(":") == 5
    )


def _redrive_policy(value: str) -> str:
    policy = _parsed("RedrivePolicy", value)
    for key in ("deadLetterTargetArn", "maxReceiveCount"):
        if key not in policy:
            raise invalid_value(value, "RedrivePolicy", f"Redrive policy does not contain mandatory attribute: {key}.")
    for key in policy:
        if key not in ("deadLetterTargetArn", "maxReceiveCount"):
            raise invalid_value(value, "RedrivePolicy", f"Only following attributes are supported: {key} is not.")
    given = policy["maxReceiveCount"]
    count = str(given) if isinstance(given, int | str) else ""
    in_range = count.isascii() and count.isdigit() and len(count) <= 4 and 1 <= int(count) <= limits.MAX_RECEIVE_COUNT
    if not in_range:
        reason = f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to {limits.MAX_RECEIVE_COUNT}"
        raise invalid_value(value, "RedrivePolicy", f"{reason} both inclusive.")
    arn = policy["deadLetterTargetArn"]
    if not _is_arn(arn):
        raise invalid_value(value, "RedrivePolicy", "Invalid value for deadLetterTargetArn.")
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": int(count)}, separators=(",", ":"))


def _redrive_allow_policy(value: str) -> str:
    policy = _parsed("RedriveAllowPolicy", value)
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in _PERMISSIONS or set(policy) - {"redrivePermission", "sourceQueueArns"}:
        raise invalid_value(value, "RedriveAllowPolicy", "Amazon SQS can't create the redrive allow policy.")
    well_formed = sources is None
    if permission == "byQueue":
        arns = sources if isinstance(sources, list) else []
        well_formed = 1 <= len(arns) <= _MAX_SOURCE_QUEUES and all(map(_is_arn, arns))
    if not well_formed:
        raise invalid_value(
            value, "RedriveAllowPolicy", "byQueue takes 1 to 10 sourceQueueArns, the other permissions take none."
        )
    return json.dumps(policy, separators=(",", ":"))


_POLICY_CHECKS: Final[Mapping[str, Callable[[str], str]]] = {
    "Policy": _policy,
    "RedrivePolicy": _redrive_policy,
    "RedriveAllowPolicy": _redrive_allow_policy,
}
