"""What workers tell of their models and devices, with each heartbeat: kept by Flower, read by page and metrics."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

GROUP = "inference"  # of the events `inference-stats` and `inference-ages`
AGES = "ages"
FORGOTTEN_SECONDS = 600.0  # after its last word, a worker is left out
AGES_SECONDS = 75.0  # ages are told with each heartbeat, and each few seconds while messages are received
MAX_WORKERS = 5_000
_MAX_NAMES = 500  # models, devices or lanes of one worker


@dataclass(frozen=True, slots=True)
class StatsEvent:
    """One event: totals since the worker's start by model, facts by device; times by Flower's clock."""

    worker: str
    pid: int
    at_seconds: float
    models: Mapping[str, Mapping[str, float]]
    devices: Mapping[str, Mapping[str, Any]]
    batch_sizes: Mapping[str, float]
    dead_letters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by lane and cause

    @classmethod
    def of(cls, event: Mapping[str, Any], now: float) -> "StatsEvent":
        """Read an event; raises TypeError, ValueError, KeyError or AttributeError for one that is none."""
        return cls(
            worker=text(event["hostname"]),
            pid=int(event["pid"]),
            at_seconds=now,
            models={name: numbers(totals) for name, totals in _named(event["models"])},
            devices={
                name: {text(fact): each for fact, each in facts.items()} for name, facts in _named(event["devices"])
            },
            batch_sizes=numbers(dict(_named(event.get("batch_sizes", {})))),
            dead_letters={
                lane: numbers(dict(_named(causes))) for lane, causes in _named(event.get("dead_letters", {}))
            },
        )


def _named(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(text(name), each) for name, each in value.items()][:_MAX_NAMES]


def text(value: Any) -> str:
    """As text that can be written: a lone surrogate would end the answer that it is in."""
    return str(value).encode("utf-8", "replace").decode()


def numbers(totals: Mapping[str, Any]) -> dict[str, float]:
    """What of it is a finite number."""
    return {
        text(name): float(value)
        for name, value in totals.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of one worker since its heartbeat before; None where nothing has happened.

    `inputs_in_all` and `out_of_memory` count since the worker's start.
    """

    worker: str
    model: str
    inputs_in_all: int
    inputs: int
    wait_seconds: float | None
    batch_inputs: float | None
    fill: float | None
    padded_share: float | None
    forward_seconds: float | None
    inputs_a_second: float | None
    out_of_memory: int


class WorkerStats:
    """The last two words of each worker. Written in Flower's loop, read in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._reported: dict[str, tuple[StatsEvent | None, StatsEvent]] = {}
        self._ages: dict[str, tuple[float, Mapping[str, float], Mapping[str, float]]] = {}

    def take(self, subject: str, event: Mapping[str, Any]) -> None:
        """An event of our group; what cannot be read is left out."""
        try:
            self._take_ages(event)
            if subject == AGES:
                return
            reported = StatsEvent.of(event, self._clock())
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            return
        with self._lock:
            before = self._reported.get(reported.worker, (None, None))[1]
            if before is None and len(self._reported) >= MAX_WORKERS:
                return
            same = before is not None and before.pid == reported.pid
            self._reported[reported.worker] = (before if same else None, reported)

    def _take_ages(self, event: Mapping[str, Any]) -> None:
        """The ages that an event tells of received and of held messages, by lane."""
        worker = text(event["hostname"])
        received, held = (numbers(dict(_named(event.get(kind, {})))) for kind in ("received", "held"))
        with self._lock:
            if worker in self._ages or len(self._ages) < MAX_WORKERS:
                self._ages[worker] = self._clock(), received, held

    def latest(self) -> list[StatsEvent]:
        """Each worker's last word, by its name."""
        return [now for _, now in self._pairs()]

    def reported_ages(self) -> dict[str, float]:
        """For each lane the age of the oldest message that any worker held or received when it last told."""
        return _greatest(ages for reported in self._recent_ages() for ages in reported)

    def held_ages(self) -> dict[str, float]:
        """The same of what was held; 0 for a lane from which they received what they held no longer."""
        reported = self._recent_ages()
        return _greatest([*(dict.fromkeys(received, 0.0) for received, _ in reported), *(held for _, held in reported)])

    def _recent_ages(self) -> list[tuple[Mapping[str, float], Mapping[str, float]]]:
        """What each worker last told: ages of received and of held messages."""
        with self._lock:
            since = self._clock() - AGES_SECONDS
            self._ages = {worker: reported for worker, reported in self._ages.items() if reported[0] >= since}
            return [(received, held) for _, received, held in self._ages.values()]

    def age_seconds(self) -> float | None:
        """Since the last word of any worker; None when none is known."""
        return min((self._clock() - reported.at_seconds for reported in self.latest()), default=None)

    def rows(self) -> list[ModelRow]:
        """Each model of each worker."""
        return [_row(before, now, model) for before, now in self._pairs() for model in sorted(now.models)]

    def _pairs(self) -> list[tuple[StatsEvent | None, StatsEvent]]:
        with self._lock:
            oldest = self._clock() - FORGOTTEN_SECONDS
            self._reported = {worker: pair for worker, pair in self._reported.items() if pair[1].at_seconds > oldest}
            return [self._reported[worker] for worker in sorted(self._reported)]


def _greatest(all_ages: Iterable[Mapping[str, float]]) -> dict[str, float]:
    oldest: dict[str, float] = {}
    for ages in all_ages:
        for lane, seconds in ages.items():
            oldest[lane] = max(seconds, oldest.get(lane, 0.0))
    return oldest


def _row(before: StatsEvent | None, now: StatsEvent, model: str) -> ModelRow:
    earlier = before.models.get(model, {}) if before is not None else {}
    since = {name: value - earlier.get(name, 0.0) for name, value in now.models[model].items()}
    rows, batches, padded = since.get("rows", 0.0), since.get("batches", 0.0), since.get("padded_tokens", 0.0)
    size, waits = now.batch_sizes.get(model, 0.0), since.get("waits", 0.0)
    seconds = now.at_seconds - before.at_seconds if before is not None else 0.0
    batch_inputs = rows / batches if batches else None
    return ModelRow(
        worker=now.worker,
        model=model,
        inputs_in_all=int(now.models[model].get("rows", 0)),
        inputs=int(rows),
        wait_seconds=since.get("wait_seconds", 0.0) / waits if waits else None,
        batch_inputs=batch_inputs,
        fill=batch_inputs / size if batch_inputs is not None and size else None,
        padded_share=1 - since.get("tokens", 0.0) / padded if padded else None,
        forward_seconds=since.get("forward_seconds", 0.0) / batches if batches else None,
        inputs_a_second=rows / seconds if seconds > 0 else None,
        out_of_memory=int(now.models[model].get("out_of_memory", 0)),
    )
