"""A stack's configuration, typed and checked before anything is declared.

`Pulumi.STACK.yaml` holds it in three objects: `celery-inference:queues`, `celery-inference:fleet` (GPU hosts on EC2)
and `celery-inference:lambda`, and a list, `celery-inference:endpoints`. Nothing is needed; without `fleet` or `lambda`
that consumer is not declared.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pulumi.runtime.config import get_config_env
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from celery_inference.sqs import limits
from celery_inference.sqs.lanes import DEFAULT_PATH, LANES, Lane, LanesError, load_lanes

Arn = Annotated[str, Field(pattern=r"^arn:aws[\w-]*:[\w-]+:[\w-]*:\d*:.+$")]
EndpointName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")]
# A tag may be moved to another image; a digest may not.
Image = Annotated[str, Field(pattern=r"^[\w.:/-]+@sha256:[0-9a-f]{64}$")]

# docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: a visibility timeout of at least six times the
# function's; the lane's own is that of the default function. docs.aws.amazon.com/lambda/latest/api/
# API_CreateEventSourceMapping.html: more than ten messages a batch need a window to gather them.
LAMBDA_VISIBILITY_FACTOR = 6
LAMBDA_BATCH_WITHOUT_WINDOW = 10


_LAMBDA = next(lane for lane in LANES if lane.consumer == "lambda")


class StackSettingError(ValueError):
    """A value of the stack's configuration cannot be; one sentence with the key, the value and what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Queues(_Part):
    """What all lanes share. What is not set is each lane's own, of the file `lanes` (by default
    `celery_inference/lanes.toml`): a stack that changes one differs from that file, and `celery-inference queues check`
    says so. `queue_prefix` begins the name of every queue, as CELERY_INFERENCE_QUEUE_PREFIX does for senders and
    workers, so that stacks can share an account and region.

    `time_limit_seconds` is how long a receiver that does not renew its leases may take for one message; workers do.
    """

    environment: str = Field(default="Production", min_length=1, max_length=256)
    lanes: str | None = None
    queue_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,40}$")
    delay_seconds: int | None = Field(default=None, ge=0, le=limits.MAX_DELAY_SECONDS)
    max_message_bytes: int | None = Field(
        default=None, ge=limits.MIN_MESSAGE_SIZE_SETTING_BYTES, le=limits.MAX_MESSAGE_BYTES
    )
    retention_seconds: int | None = Field(
        default=None, ge=limits.MIN_RETENTION_SECONDS, le=limits.MAX_RETENTION_SECONDS
    )
    dead_letter_retention_seconds: int = Field(
        default=limits.MAX_RETENTION_SECONDS, ge=limits.MIN_RETENTION_SECONDS, le=limits.MAX_RETENTION_SECONDS
    )
    receive_wait_seconds: int | None = Field(default=None, ge=0, le=limits.MAX_RECEIVE_WAIT_SECONDS)
    visibility_timeout_seconds: int | None = Field(default=None, ge=0, le=limits.MAX_VISIBILITY_SECONDS)
    time_limit_seconds: int = Field(default=20, ge=1, le=limits.MAX_VISIBILITY_SECONDS)
    max_receive_count: int | None = Field(default=None, ge=1, le=limits.MAX_RECEIVE_COUNT)
    kms_key_arn: Arn | None = None
    object_days: int = Field(default=30, ge=1, le=3_650)
    alarm_topic_arn: Arn | None = None
    oldest_age_alarm_seconds: int = Field(default=900, ge=60, le=limits.MAX_RETENTION_SECONDS)

    @model_validator(mode="after")
    def _together(self) -> Self:
        try:
            lanes = self.declared()
        except LanesError as error:
            raise ValueError(str(error)) from None
        mains = [lane for lane in lanes if lane.consumer == "worker"]
        visibility = self.visibility_timeout_seconds
        shortest = min(lane.queue.visibility_timeout_seconds for lane in mains) if visibility is None else visibility
        retention = self.retention_seconds
        longest = max(lane.queue.retention_seconds for lane in lanes) if retention is None else retention
        if shortest < self.time_limit_seconds:
            raise ValueError(
                f"visibility_timeout_seconds is {shortest}, shorter than time_limit_seconds "
                f"({self.time_limit_seconds}): a message would be delivered again while it is worked on"
            )
        if self.dead_letter_retention_seconds <= longest:
            raise ValueError(
                f"dead_letter_retention_seconds is {self.dead_letter_retention_seconds}, not above retention_seconds "
                f"({longest}): a dead letter keeps its first enqueue time, and would vanish unread"
            )
        # A message waits for as long as its lane keeps it, and a letter that is sent back begins anew.
        if self.object_days * 86_400 <= longest + self.dead_letter_retention_seconds:
            raise ValueError(
                f"object_days is {self.object_days}, not above retention_seconds and dead_letter_retention_seconds "
                "together: a message that is redriven late would find its payload gone"
            )
        return self

    def declared(self) -> tuple[Lane, ...]:
        """The lanes of the file, their queues named with the prefix. Raises LanesError."""
        return load_lanes(DEFAULT_PATH if self.lanes is None else Path(self.lanes), self.queue_prefix)


class FleetSettings(_Part):
    """The GPU hosts on EC2: one worker a host, from none to `max_workers`.

    `requests_per_second_per_worker` is to be measured (Flower's Inference page); with `target_wait_seconds` it says how
    much backlog one worker is for. `boot_seconds` is from launch to the first delivery. `volume_gib` is of the root
    disk, which the AMI calls `root_device`: /dev/sda1 on Ubuntu's, /dev/xvda on Amazon Linux's.
    """

    ami_id: str = Field(pattern=r"^ami-[0-9a-f]{8,17}$")
    worker_image: Image
    subnet_ids: list[str] = Field(min_length=1)
    security_group_ids: list[str] = Field(min_length=1)
    instance_types: list[str] = Field(default=["g6.xlarge", "g5.xlarge", "g4dn.xlarge"], min_length=1, max_length=40)
    max_workers: int = Field(default=4, ge=1, le=5_000)
    on_demand_base: int = Field(default=0, ge=0, le=5_000)
    spot_percent: int = Field(default=100, ge=0, le=100)
    requests_per_second_per_worker: float = Field(default=20.0, gt=0, le=1_000_000, strict=False)
    target_wait_seconds: int = Field(default=60, ge=1, le=86_400)
    boot_seconds: int = Field(default=180, ge=1, le=3_600)
    idle_minutes: int = Field(default=10, ge=1, le=1_440)
    volume_gib: int = Field(default=100, ge=20, le=16_384)
    root_device: str = Field(default="/dev/sda1", pattern=r"^/dev/[a-z0-9]{3,16}$")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.on_demand_base > self.max_workers:
            raise ValueError(
                f"on_demand_base is {self.on_demand_base}, above max_workers ({self.max_workers}): "
                "so many hosts never run"
            )
        return self

    @property
    def backlog_per_worker(self) -> float:
        """Messages, visible and in flight, that one worker drains within the target wait."""
        return max(1.0, self.requests_per_second_per_worker * self.target_wait_seconds)


class LambdaConsumer(_Part):
    """The function that consumes the Lambda lane. `batch_size` messages at most come in one event, gathered for at most
    `batch_window_seconds`; `concurrency` events are worked on at once.

    Limits: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
    """

    image: Image
    timeout_seconds: int = Field(
        default=_LAMBDA.queue.visibility_timeout_seconds // LAMBDA_VISIBILITY_FACTOR, ge=30, le=900
    )
    memory_mib: int = Field(default=3_008, ge=128, le=10_240)
    concurrency: int = Field(default=10, ge=2, le=1_000)
    batch_size: int = Field(default=10, ge=1, le=100)
    batch_window_seconds: int = Field(default=1, ge=0, le=300)
    max_receive_count: int = Field(
        default=_LAMBDA.max_receive_count, ge=_LAMBDA.max_receive_count, le=limits.MAX_RECEIVE_COUNT
    )
    log_days: int = Field(default=30, ge=1, le=3_653)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.batch_size > LAMBDA_BATCH_WITHOUT_WINDOW and self.batch_window_seconds < 1:
            raise ValueError(
                f"batch_size is {self.batch_size} and batch_window_seconds 0: "
                f"Lambda gathers more than {LAMBDA_BATCH_WITHOUT_WINDOW} messages only within a window"
            )
        return self

    @property
    def visibility_timeout_seconds(self) -> int:
        """Of the lane's queue, in seconds."""
        return LAMBDA_VISIBILITY_FACTOR * self.timeout_seconds


class StackSettings(_Part):
    """The whole configuration of a stack. `endpoints` are SageMaker's that models of the catalogue live on."""

    queues: Queues = Queues()
    endpoints: list[EndpointName] = []
    fleet: FleetSettings | None = None
    aws_lambda: LambdaConsumer | None = Field(default=None, alias="lambda")


def read(values: Mapping[str, Any]) -> StackSettings:
    """The settings in a stack's configuration: its objects by their keys, without a namespace.

    Raises:
        StackSettingError: an unknown key, a wrong type, an impossible range or combination.
    """
    try:
        return StackSettings.model_validate(dict(values))
    except ValidationError as error:
        raise StackSettingError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = "celery-inference:" + ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(), n=1)
        return f"{key} is no key of this program" + (f"; did you mean {near[0]}?" if near else ".")
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}."
    if first["type"] == "missing":
        return f"{key} is missing, and needed."
    return f"{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def _known_keys() -> list[str]:
    fields = [name for part in (Queues, FleetSettings, LambdaConsumer) for name in part.model_fields]
    return [*fields, "queues", "fleet", "lambda", "endpoints"]


NAMESPACE = "celery-inference"


def values() -> dict[str, Any]:
    """What `Pulumi.STACK.yaml` sets for this program, keys without their namespace; its values are JSON objects.

    Raises:
        StackSettingError: a value is no object.
    """
    found = {}
    for key, text in get_config_env().items():
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE:
            continue
        try:
            found[name] = json.loads(text)
        except ValueError:
            raise StackSettingError(f"{key} is {text!r}: it must be an object of keys and values.") from None
    return found
