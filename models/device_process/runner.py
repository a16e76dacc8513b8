"""Runs a model's batches in the device process: prepare each input, forward in passes, halve what raises, finish."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from models.device_process import error_classification
from models.device_process.error_classification import DeviceFailed
from models.handlers.base import Handler, Prepared
from models.handlers.common import finite
from models.ipc.answers import check_size
from models.scheduling.batching import Limits, split
from models.scheduling.memory_limits import MemoryLimit

Answer = dict[str, Any]


@dataclass(slots=True)
class BatchWork:
    """A batch on its way through `prepare`, `forward` and `finish`, which answer its rows.

    `stats` holds passes, rows, tokens and padded tokens, and the seconds of each step. `times` is when each step
    began and ended, in seconds since the epoch. `ran_out` lists the passes that did not fit: (longest row, padded
    tokens).
    """

    answers: list[Answer]
    items: list[Prepared]
    outputs: list[tuple[Prepared, Any]] = field(default_factory=list)
    stats: dict[str, float] = field(default_factory=dict)
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    ran_out: list[tuple[int, int]] = field(default_factory=list)
    cleared: bool = False  # the device was asked, and is well

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step; one that raises leaves nothing."""
        at, began = time.time(), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self.stats[f"{name}_seconds"] = seconds
        self.times[name] = (at, at + seconds)


class Runner:
    """One model's batches. `prepare` and `finish` may run in another thread than `forward`, but not at once.

    `well` is an input that ran when the model was loaded, with its options: it tells a device that fails from inputs
    that do. Until it is set, inputs are to blame. `equal_lengths`: padding changes this model's results, so that only
    equal lengths share a pass. `keep_inputs`: how many characters of inputs errors may show.
    """

    def __init__(self, spec: ModelSpec, handler: Handler) -> None:
        self.spec = spec
        self.handler = handler
        self.well: tuple[Any, dict[str, Any]] | None = None
        self.equal_lengths = False
        self.keep_inputs = 0
        self.stats: dict[str, float] = {}

    def run(self, values: Sequence[Any], options: Sequence[dict[str, Any]]) -> list[Answer]:
        """One answer per value, in order; `stats` are then this batch's. Raises as `forward` does."""
        work = self.prepare(values, options)
        self.forward(work)
        self.stats = work.stats
        return self.finish(work)

    def prepare(self, values: Sequence[Any], options: Sequence[dict[str, Any]]) -> BatchWork:
        """What `forward` takes; inputs that cannot be prepared are answered already."""
        work = BatchWork([{} for _ in values], [])
        with work.step("prepare"):
            for row, (value, given) in enumerate(zip(values, options, strict=True)):
                try:
                    self.handler.refuse_unused(given)
                    work.items.append(self.handler.prepare(row, value, self.with_defaults(given)))
                except Exception as error:
                    error_classification.raise_if_sticky(error, self.keep_inputs)
                    work.answers[row] = error_classification.failure(error, self.keep_inputs)
        work.stats |= {
            "rows": len(values),
            "passes": 0,
            "tokens": sum(item.length for item in work.items),
            "padded_tokens": 0,
            "longest": max((item.length for item in work.items), default=0),
        }
        return work

    def forward(self, work: BatchWork, memory_limits: tuple[MemoryLimit, ...] = ()) -> None:
        """Run the passes. Raises DeviceFailed or Poisoned when no answer can be had from this process."""
        limits = Limits(self.spec.batch_size, self.spec.batch_tokens, 0, memory_limits)
        with work.step("forward"):
            for group in _by_size(work.items) if self.equal_lengths else [work.items]:
                for part in split([item.length for item in group], limits):
                    self._pass([group[i] for i in part], work)

    def finish(self, work: BatchWork) -> list[Answer]:
        """The answers, in the order of the inputs. Raises DeviceFailed or Poisoned, as `forward` does."""
        with work.step("finish"):
            for item, output in work.outputs:
                try:
                    finite.check(output)
                    result = self.handler.finish(output, item)
                    finite.check(result)
                    work.answers[item.row] = {"ok": result, "bytes": check_size(self.spec, result)}
                except Exception as error:
                    error_classification.raise_if_sticky(error, self.keep_inputs)
                    work.answers[item.row] = error_classification.failure(error, self.keep_inputs)
            work.outputs = []
        steps = ("prepare_seconds", "forward_seconds", "finish_seconds")
        work.stats["seconds"] = sum(work.stats[step] for step in steps)
        return work.answers

    def with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options that were given, and the spec's defaults for the others."""
        return {name: option.default for name, option in self.spec.options.items()} | given

    def _pass(self, items: list[Prepared], work: BatchWork) -> None:
        """One pass; when it raises, its halves, down to single rows, which fail by themselves."""
        longest = max(item.length for item in items)
        work.stats["passes"] += 1
        work.stats["padded_tokens"] += len(items) * longest
        failure: Exception
        try:
            self.misbehave(items)
            work.outputs += zip(items, self.handler.forward(items), strict=True)
            return
        except Exception as error:
            error_classification.raise_if_sticky(error, self.keep_inputs)
            if len(items) == 1:
                work.answers[items[0].row] = error_classification.failure(error, self.keep_inputs)
            failure = error.with_traceback(None)  # its frames hold the pass's tensors
        if error_classification.is_memory(failure):
            self.handler.free_memory()
            work.ran_out.append((longest, len(items) * longest))
        if not work.cleared and (len(items) == 1 or not error_classification.is_memory(failure)):
            self._ask_the_device(failure)
            work.cleared = True
        if len(items) == 1:
            return
        half = len(items) // 2
        self._pass(items[:half], work)
        self._pass(items[half:], work)

    def _ask_the_device(self, failure: Exception) -> None:
        """Run what is known to run. When that raises as well, both halves of any batch would, down to the last row."""
        if self.well is None:
            return
        value, options = self.well
        try:
            self.handler.forward([self.handler.prepare(0, value, self.with_defaults(options))])
        except Exception as error:
            said = error_classification.one_line(failure, self.keep_inputs)
            own = " ".join(f"{type(error).__name__}: {error}".split())[:300]  # about the example, which is nobody's
            raise DeviceFailed(f"{said}; and what ran when the model was loaded raises now: {own}") from error

    def misbehave(self, items: Sequence[Prepared]) -> None:
        """Do what the spec's faults ask for. Nothing, for every spec that has none."""
        faults = self.spec.faults
        for item in items:
            if faults.kill and faults.kill in item.text:
                os.kill(os.getpid(), signal.SIGKILL)
            if faults.hang and faults.hang in item.text:
                time.sleep(10**6)
            if faults.fail and faults.fail in item.text:
                raise RuntimeError(f'the spec\'s fault "{faults.fail}" was asked for')


def _by_size(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """Items whose exact lengths are equal, together."""
    groups: dict[int, list[Prepared]] = {}
    for item in items:
        groups.setdefault(item.size or item.length, []).append(item)
    return list(groups.values())
