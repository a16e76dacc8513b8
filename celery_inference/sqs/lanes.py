"""Lanes: a queue, its dead-letter queue, what both must look like, and how a worker shares its slots.

They come from a file, `celery_inference/lanes.toml` or a deployment's own, which the transport, the commands, Flower
and the Pulumi program read alike.

A lane's name is what Celery calls its queue, in `queue=` and `-Q`. SQS calls the queue by that name behind the prefix
of the deployment, so that two deployments can live in one account and region.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from celery_inference.specs.errors import DeploymentError, suggestion
from celery_inference.sqs import limits

DEFAULT_PATH = Path(__file__).resolve().parents[1] / "lanes.toml"
DEFAULT_TAGS: Mapping[str, str] = {"Environment": "Production", "Purpose": "DecoupledMLInference"}


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
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
    """A queue and its dead-letter queue. Both are named with the deployment's `prefix`.

    Lanes share a worker's slots by `weight`: while all have messages, one of weight 4 gets four where one of
    weight 1 gets one. A lane with `own_slots` is for tasks that are not inference, and takes none of those: it has so
    many for itself, whatever runs elsewhere. `max_receive_count` is also how many attempts a request has.
    `invalid_input` says what becomes of a request that its caller got wrong, beside its FAILURE: a dead letter, or
    nothing ("fail"). `consumer` is who takes from it. `default`: requests go here where nothing else is said.
    """

    queue: DeclaredQueue
    dead_letter_queue: DeclaredQueue
    max_receive_count: int = 4
    weight: float = 1.0
    own_slots: int = 0
    invalid_input: Literal["dead-letter", "fail"] = "dead-letter"
    consumer: Literal["worker", "lambda"] = "worker"
    default: bool = False
    prefix: str = ""

    @property
    def name(self) -> str:
        """What Celery calls the lane's queue."""
        return self.queue.name.removeprefix(self.prefix)

    @property
    def dead_letter_name(self) -> str:
        """What Celery calls the dead-letter queue."""
        return self.dead_letter_queue.name.removeprefix(self.prefix)

    def takes(self, queue: str) -> bool:
        """Whether this names the lane's own queue, as Celery or as SQS calls it, and not that of its dead letters."""
        return queue in (self.name, self.queue.name)

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


class LanesError(DeploymentError):
    """A file of lanes that cannot be read: the sentence names file, lane and key."""


# What a file may say of a lane, and of its queue, with the type of each.
_OF_LANE: Mapping[str, tuple[type, ...]] = {
    "default": (bool,),
    "weight": (int, float),
    "own_slots": (int,),
    "max_receive_count": (int,),
    "invalid_input": (str,),
    "consumer": (str,),
}
_OF_QUEUE: Mapping[str, tuple[type, ...]] = {
    "delay_seconds": (int,),
    "max_message_bytes": (int,),
    "retention_seconds": (int,),
    "receive_wait_seconds": (int,),
    "visibility_timeout_seconds": (int,),
}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "weight": (0.001, 1_000),
    "own_slots": (0, 1_000),
    "max_receive_count": (1, limits.MAX_RECEIVE_COUNT),
    "delay_seconds": (0, limits.MAX_DELAY_SECONDS),
    "max_message_bytes": (limits.MIN_MESSAGE_SIZE_SETTING_BYTES, limits.MAX_MESSAGE_BYTES),
    "retention_seconds": (limits.MIN_RETENTION_SECONDS, limits.MAX_RETENTION_SECONDS),
    "receive_wait_seconds": (0, limits.MAX_RECEIVE_WAIT_SECONDS),
    "visibility_timeout_seconds": (0, limits.MAX_VISIBILITY_SECONDS),
}
_WORDS: Mapping[str, tuple[str, ...]] = {"invalid_input": ("dead-letter", "fail"), "consumer": ("worker", "lambda")}
_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def declared(name: str, *, prefix: str = "", **said: Any) -> Lane:
    """A lane by its name and what is said of it: its queue is PREFIX + NAME, with NAME-dlq for its dead letters.

    A name that ends in `.fifo` makes both queues FIFO queues.
    """
    of_queue = {key: value for key, value in said.items() if key in _OF_QUEUE}
    of_lane = {key: value for key, value in said.items() if key not in _OF_QUEUE}
    stem, fifo = (name.removesuffix(".fifo"), ".fifo") if name.endswith(".fifo") else (name, "")
    dead_letter_queue = DeclaredQueue(
        name=f"{prefix}{stem}-dlq{fifo}",
        # Larger than any message of the lane, so that a reason always fits beside the body, and
        # as long as SQS allows, because a dead letter keeps its first enqueue time.
        max_message_bytes=limits.MAX_MESSAGE_BYTES,
        retention_seconds=limits.MAX_RETENTION_SECONDS,
    )
    return Lane(DeclaredQueue(name=f"{prefix}{name}", **of_queue), dead_letter_queue, prefix=prefix, **of_lane)


@lru_cache(maxsize=8)
def load_lanes(path: Path, prefix: str = "") -> tuple[Lane, ...]:
    """The lanes of a TOML file, their queues named with this prefix. Raises LanesError."""
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LanesError(f"{path}: {error}") from error
    for name, table in tables.items():
        _check_table(path, name, table, prefix)
    lanes = tuple(declared(name, prefix=prefix, **table) for name, table in tables.items())
    if sum(lane.default for lane in lanes) != 1:
        raise LanesError(f"{path}: one lane must say default = true, and no other")
    if default_lane(lanes).own_slots:
        raise LanesError(f"{path}: [{default_lane(lanes).name}] is the default of requests; it can have no own_slots")
    return lanes


def _check_table(path: Path, name: str, table: Any, prefix: str) -> None:
    place = f"{path}: [{name}]"
    longest = limits.MAX_QUEUE_NAME_CHARACTERS - len("-dlq") - len(prefix)
    if not isinstance(table, dict):
        raise LanesError(f"{path}: {name} stands outside of any lane; a lane is a table, [NAME]")
    if not set(name.removesuffix(".fifo")) <= _SIGNS or not 1 <= len(name) <= longest:
        raise LanesError(f"{place}: a lane's name has 1 to {longest} letters, digits, hyphens and underscores")
    for key, value in table.items():
        types = _OF_LANE.get(key) or _OF_QUEUE.get(key)
        if types is None:
            raise LanesError(f"{place} {key} is not known. {suggestion(key, [*_OF_LANE, *_OF_QUEUE])}")
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            kind = (
                {bool: "true or false", str: "a text", int: "a whole number"}[types[0]]
                if len(types) == 1
                else "a number"
            )
            raise LanesError(f"{place} {key} must be {kind}, not {value!r}")
        if key in _WORDS and value not in _WORDS[key]:
            raise LanesError(f"{place} {key} is {value!r}; it must be {' or '.join(_WORDS[key])}")
        least, most = _BOUNDS.get(key, (0, 0))
        if key in _BOUNDS and isinstance(value, int | float) and not least <= value <= most:
            raise LanesError(f"{place} {key} is {value}; allowed are {least:,} to {most:,}")


def default_lane(lanes: Iterable[Lane]) -> Lane:
    """Where requests go of which nothing else is said."""
    return next(lane for lane in lanes if lane.default)


def general_lane(lanes: Iterable[Lane]) -> Lane | None:
    """Where tasks go that are not inference: the first lane with slots of its own; None where there is none."""
    return next((lane for lane in lanes if lane.own_slots), None)


LANES: tuple[Lane, ...] = load_lanes(DEFAULT_PATH)


def lane_named(name: str, lanes: tuple[Lane, ...] = LANES) -> Lane:
    """The lane of this name; raises UnknownLaneError."""
    for lane in lanes:
        if lane.name == name:
            return lane
    raise UnknownLaneError(name, lanes)


def lane_of(queue_name: str, lanes: tuple[Lane, ...] = LANES) -> Lane | None:
    """The lane whose queue or dead-letter queue has this name, if one is declared."""
    for lane in lanes:
        if lane.takes(queue_name) or queue_name in (lane.dead_letter_name, lane.dead_letter_queue.name):
            return lane
    return None


def lane_taking(queue_name: str, lanes: tuple[Lane, ...] = LANES) -> Lane | None:
    """The lane whose own queue has this name, and not that of its dead letters, if one is declared."""
    return next((lane for lane in lanes if lane.takes(queue_name)), None)
