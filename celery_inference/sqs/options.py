"""What `broker_transport_options` may hold, checked when a connection is made."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.backoff import RELEASE_CAP_SECONDS
from celery_inference.sqs.broadcast.queue_names import MAX_PREFIX_CHARACTERS, is_prefix
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.stores import store_at
from celery_inference.sqs.errors import OptionError
from celery_inference.sqs.lanes import LANES, Lane

# kombu's own keys, which it reads from, or writes into, the same mapping.
KOMBU_OPTIONS = frozenset(
    {
        "callback",
        "connect_retries_timeout",
        "errback",
        "interval_max",
        "interval_start",
        "interval_step",
        "max_retries",
        "retry_errors",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """The transport's options; `celery_inference.sqs.transport.connection` says what each one means."""

    region: str | None = None
    is_secure: bool = False
    lanes: tuple[Lane, ...] = LANES
    queue_prefix: str = ""
    create_missing_lanes: bool = False
    lease_seconds: int = 30
    lease_cap_seconds: int = 21_600
    wait_time_seconds: int = 10
    gather_seconds: float = 0.01
    call_timeout_seconds: float = 10.0
    release_cap_seconds: float = RELEASE_CAP_SECONDS
    unknown_task_grace_seconds: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    worker_name: str | None = None
    broadcast_prefix: str | None = None
    delete_messages: bool = True
    claim_check: str | None = None

    def __post_init__(self) -> None:
        _within("lease_seconds", self.lease_seconds, 2, limits.MAX_VISIBILITY_SECONDS)
        _within("lease_cap_seconds", self.lease_cap_seconds, 2, limits.MAX_VISIBILITY_SECONDS)
        _within("wait_time_seconds", self.wait_time_seconds, 0, limits.MAX_RECEIVE_WAIT_SECONDS)
        _within("gather_seconds", self.gather_seconds, 0, 1)
        _within("call_timeout_seconds", self.call_timeout_seconds, 0.1, 60)
        _within("release_cap_seconds", self.release_cap_seconds, 0, limits.MAX_VISIBILITY_SECONDS)
        if self.broadcast_prefix is not None and not is_prefix(self.broadcast_prefix):
            raise OptionError(
                f"transport option broadcast_prefix is {self.broadcast_prefix!r}; allowed are 1 to "
                f"{MAX_PREFIX_CHARACTERS} letters, digits, hyphens and underscores"
            )
        if self.claim_check is not None:
            store_at(self.claim_check)
        _within("unknown_task_grace_seconds", self.unknown_task_grace_seconds, 0, limits.MAX_VISIBILITY_SECONDS)
        for queue, weight in self.weights.items():
            _within(f"weights[{queue!r}]", weight, 0.001, 1_000)

    @property
    def claims(self) -> ClaimCheck | None:
        """What keeps payloads that fit into no message; None: nothing does."""
        return None if self.claim_check is None else ClaimCheck(store_at(self.claim_check))


def _within(name: str, value: Any, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most or math.isnan(value):
        raise OptionError(f"transport option {name} is {value!r}; allowed are {least:g} to {most:g}")


def read_options(given: Mapping[str, Any]) -> TransportOptions:
    """The options in a mapping; raises OptionError for unknown or impossible ones."""
    known = {option.name for option in dataclasses.fields(TransportOptions)}
    for name in given:
        if name not in known and name not in KOMBU_OPTIONS:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise OptionError(f"unknown transport option {name!r}; {hint}")
    return TransportOptions(**{name: value for name, value in given.items() if name in known and value is not None})
