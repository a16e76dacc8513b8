"""What became of one batch, for who follows requests through the engine. Times are seconds since the epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.scheduling.requests import Batch


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch, from its sealing to its answers, or to the end of the process that ran it.

    `requests` tells of each request when the first of its rows began to wait. `steps` are prepare, forward and finish
    as the device process timed them, each with its begin and end; `stats` its rows, passes, tokens and padded tokens.
    Both are empty where there are no answers: then `problem` says why.
    """

    model: str
    device: str
    requests: Mapping[str, float]
    sealed_at: float
    ended_at: float
    steps: Mapping[str, tuple[float, float]]
    stats: Mapping[str, float]
    problem: str = ""

    @classmethod
    def of(cls, batch: Batch, device: str, message: Mapping[str, Any], problem: str = "") -> BatchReport:
        """Of a batch that has ended now; `message` is what the device process told of it."""
        now, offset = time.time(), time.time() - time.monotonic()
        requests: dict[str, float] = {}
        for row in batch.rows:
            requests.setdefault(row.owner.id, row.arrived + offset)
        steps = {name: (float(began), float(ended)) for name, (began, ended) in message.get("times", {}).items()}
        return cls(batch.model, device, requests, batch.sealed_at, now, steps, dict(message.get("stats", {})), problem)
