"""What the scheduler holds: requests until they are resolved, and batches of their rows on the way through a device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from celery_inference.specs.errors import InferenceError, InvalidInput
from models.scheduling.batching import Row
from models.scheduling.memory_limits import MemoryLimit


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that is not resolved. `missing` counts its rows without an answer.

    `begun`: a batch has taken one of them. `beginning_reported`: and who wanted to know of its beginning was told.
    """

    id: str
    model: str
    options: Mapping[str, Any]
    future: Future[list[Any]]
    results: list[Any]
    missing: int
    size_bytes: int
    result_bytes: int = 0
    rows: list[Row] = field(default_factory=list)
    begun: bool = False
    beginning_reported: bool = False


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


def placed(row: Row, error: InferenceError) -> InferenceError:
    """The error of one input, which from here on says which of its request's it is about."""
    if isinstance(error, InvalidInput) and (error.field or "inputs") == "inputs":
        many = len(row.owner.results) > 1
        error.field = f"inputs[{row.index}]" if many else "inputs"
        error.index = row.index if many else None
    return error


def named(row: Row, sentence: str) -> str:
    """The sentence with the input's place in its request, when the request has several."""
    if len(row.owner.results) > 1 and sentence.startswith("inputs "):
        return f"inputs[{row.index}]{sentence.removeprefix('inputs')}"
    return sentence
