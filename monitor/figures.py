"""What workers tell of their models and devices, with each heartbeat: kept by Flower, read by page and metrics."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

GROUP = "inference"  # of the event `inference-figures`
FORGOTTEN_SECONDS = 600.0  # after its last word, a worker is left out
RECENT_SECONDS = 150.0  # the ages of received messages are of the last two heartbeats
MAX_WORKERS = 5_000
_MAX_NAMES = 500  # models, devices or lanes of one worker


@dataclass(frozen=True, slots=True)
class Told:
    """One event: totals since the worker's start by model, facts by device, ages by lane; times by Flower's clock."""

    worker: str
    pid: int
    at_seconds: float
    models: Mapping[str, Mapping[str, float]]
    devices: Mapping[str, Mapping[str, Any]]
    received: Mapping[str, float]
    batch_sizes: Mapping[str, float]

    @classmethod
    def of(cls, event: Mapping[str, Any], now: float) -> "Told":
        """Read an event; raises TypeError, ValueError, KeyError or AttributeError for one that is none."""
        return cls(
            worker=_text(event["hostname"]),
            pid=int(event["pid"]),
            at_seconds=now,
            models={name: _numbers(totals) for name, totals in _named(event["models"])},
            devices={
                name: {_text(fact): each for fact, each in facts.items()} for name, facts in _named(event["devices"])
            },
            received=_numbers(dict(_named(event.get("received", {})))),
            batch_sizes=_numbers(dict(_named(event.get("batch_sizes", {})))),
        )


def _named(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(_text(name), each) for name, each in value.items()][:_MAX_NAMES]


def _text(value: Any) -> str:
    """As text that can be written: a lone surrogate would end the answer that it is in."""
    return str(value).encode("utf-8", "replace").decode()


def _numbers(totals: Mapping[str, Any]) -> dict[str, float]:
    return {
        _text(name): float(value)
        for name, value in totals.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of one worker since its heartbeat before; None where nothing has happened."""

    worker: str
    model: str
    inputs: int
    wait_seconds: float | None
    batch_inputs: float | None
    fill: float | None
    padded_share: float | None
    forward_seconds: float | None
    inputs_a_second: float | None
    out_of_memory: int


class Figures:
    """The last two words of each worker. Written in Flower's loop, read in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[Told | None, Told]] = {}

    def take(self, subject: str, event: Mapping[str, Any]) -> None:
        """An event of our group; what cannot be read is left out."""
        try:
            told = Told.of(event, self._clock())
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            return
        with self._lock:
            before = self._told.get(told.worker, (None, None))[1]
            if before is None and len(self._told) >= MAX_WORKERS:
                return
            same = before is not None and before.pid == told.pid
            self._told[told.worker] = (before if same else None, told)

    @staticmethod
    def restarts(facts: Mapping[str, Any]) -> float | None:
        """A device's restarts, where it tells a number."""
        return _numbers(facts).get("restarts")

    def latest(self) -> list[Told]:
        """Each worker's last word, by its name."""
        return [now for _, now in self._pairs()]

    def received_ages(self) -> dict[str, float]:
        """For each lane the age of the oldest message that any worker has lately received."""
        ages: dict[str, float] = {}
        for told in self.latest():
            if self._clock() - told.at_seconds <= RECENT_SECONDS:
                for lane, seconds in told.received.items():
                    ages[lane] = max(seconds, ages.get(lane, 0.0))
        return ages

    def rows(self) -> list[ModelRow]:
        """Each model of each worker."""
        return [_row(before, now, model) for before, now in self._pairs() for model in sorted(now.models)]

    def _pairs(self) -> list[tuple[Told | None, Told]]:
        with self._lock:
            oldest = self._clock() - FORGOTTEN_SECONDS
            self._told = {worker: pair for worker, pair in self._told.items() if pair[1].at_seconds > oldest}
            return [self._told[worker] for worker in sorted(self._told)]


def _row(before: Told | None, now: Told, model: str) -> ModelRow:
    earlier = before.models.get(model, {}) if before is not None else {}
    since = {name: value - earlier.get(name, 0.0) for name, value in now.models[model].items()}
    rows, batches, padded = since.get("rows", 0.0), since.get("batches", 0.0), since.get("padded_tokens", 0.0)
    size, waits = now.batch_sizes.get(model, 0.0), since.get("waits", 0.0)
    seconds = now.at_seconds - before.at_seconds if before is not None else 0.0
    batch_inputs = rows / batches if batches else None
    return ModelRow(
        worker=now.worker,
        model=model,
        inputs=int(rows),
        wait_seconds=since.get("wait_seconds", 0.0) / waits if waits else None,
        batch_inputs=batch_inputs,
        fill=batch_inputs / size if batch_inputs is not None and size else None,
        padded_share=1 - since.get("tokens", 0.0) / padded if padded else None,
        forward_seconds=since.get("forward_seconds", 0.0) / batches if batches else None,
        inputs_a_second=rows / seconds if seconds > 0 else None,
        out_of_memory=int(now.models[model].get("out_of_memory", 0)),
    )
