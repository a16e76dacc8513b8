"""What the scheduler holds: requests and their rows until they are resolved, and batches at a device."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from celery_inference.inputs.check import size_bytes
from celery_inference.inputs.rows import is_about_input, place
from celery_inference.specs.errors import InferenceError
from celery_inference.specs.model_spec import ModelSpec
from models.scheduling.batching import Row
from models.scheduling.memory_limits import MemoryLimit

CHARACTERS_PER_TOKEN = 4  # English with a subword vocabulary; only the order of lengths matters much
CHARACTERS_PER_STEP = 853  # base64 of 16 kHz, 16 bits, in the 20 ms that a speech model hears as one step


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that is not resolved. `missing` counts its rows without an answer.

    `returns_errors`: a row that fails has its error as its result; else it ends the request.
    `begun`: a batch has taken one of them. `beginning_reported`: and who wanted to know of its beginning was told.
    """

    id: str
    model: str
    options: Mapping[str, Any]
    future: Future[list[Any]]
    results: list[Any]
    missing: int
    size_bytes: int
    returns_errors: bool = False
    result_bytes: int = 0
    rows: list[Row] = field(default_factory=list)
    begun: bool = False
    beginning_reported: bool = False


def rows_of(spec: ModelSpec, request: PendingRequest, values: list[Any], arrived: float, deadline: float) -> list[Row]:
    """One row a value, of those that have no result yet."""
    group, may_join = _group(spec, request)
    written = request.options.get("max_new_tokens") or _default(spec, "max_new_tokens")
    beams = request.options.get("num_beams") or 1
    return [
        Row(group, value, beams * (_length(spec, value) + written), arrived, deadline, may_join, owner=request, index=i)
        for i, value in enumerate(values)
        if request.results[i] is None
    ]


def _group(spec: ModelSpec, request: PendingRequest) -> tuple[tuple[str, ...], bool]:
    """What rows must have in common to share a pass, and whether they join each other instead."""
    shaping = {name: value for name, value in request.options.items() if spec.options[name].shapes_batch}
    if spec.joins and (mode := joins_as({name: option.default for name, option in spec.options.items()} | shaping)):
        return (spec.name, mode), True
    if shaping.get("seed") is not None:
        return (spec.name, request.id), False  # a seed promises the same text again: no other request in its batch
    return ((spec.name, json.dumps(shaping, sort_keys=True)) if shaping else (spec.name,)), False


def joins_as(options: Mapping[str, Any]) -> str | None:
    """ "greedy" or "sampled", for options that each row of a generation may have of its own; None for others.

    Beams and penalties look at all that a row has written, and one generator draws for all rows.
    """
    if (options.get("num_beams") or 1) > 1 or (options.get("repetition_penalty") or 1.0) != 1.0:
        return None
    if not options.get("do_sample"):
        return "greedy"
    return None if options.get("seed") is not None else "sampled"


def _length(spec: ModelSpec, value: Any) -> int:
    """An estimate in tokens. What runs one at a time, and images, which become one size, count alike."""
    if spec.pipeline_task.media == "audio":
        return 1 + size_bytes(value) // CHARACTERS_PER_STEP
    if spec.pipeline_task.media in ("text", "chat"):
        return min(8 + size_bytes(value) // CHARACTERS_PER_TOKEN, spec.max_tokens)
    return 1


def _default(spec: ModelSpec, option: str) -> int:
    """What generation will add to each row's length; 0 for what generates nothing."""
    known = spec.options.get(option)
    return known.default if known is not None and isinstance(known.default, int) else 0


@dataclass(slots=True, eq=False)
class Batch:
    """Rows on their way through a device. `number` is unique in the scheduler, and so are those of its parts.

    `memory_limits` is what fitted into the device's memory.
    """

    number: int
    model: str
    rows: list[Row]
    memory_limits: tuple[MemoryLimit, ...] = ()
    sealed_at: float = field(default_factory=time.time)  # since the epoch

    @property
    def alone(self) -> bool:
        """Whether nothing may run beside it: a device process died under each of its rows."""
        return all(row.alone for row in self.rows)

    @property
    def tokens(self) -> int:
        """Its rows' lengths together, as they were estimated."""
        return sum(row.length for row in self.rows)

    @property
    def joins(self) -> bool:
        """Whether its rows are added to others that run."""
        return self.rows[0].joins

    @property
    def group(self) -> tuple[str, ...]:
        """What its rows have in common."""
        return self.rows[0].group

    def apart(self) -> list[Batch]:
        """A batch for each row, where rows end one by one."""
        return [Batch(self.number + i, self.model, [row], self.memory_limits) for i, row in enumerate(self.rows)]

    def beginning(self) -> list[str]:
        """The ids of its requests of whose beginning nobody was told; from now on somebody was."""
        owners = {id(row.owner): row.owner for row in self.rows if not row.owner.beginning_reported}
        for owner in owners.values():
            owner.beginning_reported = True
        return [owner.id for owner in owners.values()]

    def message(self) -> dict[str, Any]:
        """What the device process is told."""
        return {
            "run": self.number,
            "model": self.model,
            "inputs": [row.value for row in self.rows],
            "options": [row.owner.options for row in self.rows],
            "memory_limits": self.memory_limits,
            "joins": self.joins and self.group,
        }


def place_in_request(error: InferenceError, index: int, count: int) -> None:
    """Say which of a request's inputs the error is about, when it has several."""
    if count > 1:
        place(error, index)
    elif is_about_input(error):
        error.field = error.field or "inputs"
