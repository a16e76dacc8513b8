"""One model's rows that are written together in a device process: each joins when it comes, and leaves when it ends.

On the process's main thread, but for the thread that listens to the loop. The loop (see
`models.handlers.common.continuous_generation.ContinuousGeneration`) ends at the first exception of a pass, whosever
fault it was; then the rows that were in it run again one by one in passes of their own, where it shows.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.device_process import error_classification
from models.device_process.error_classification import DeviceFailed
from models.device_process.runner import BatchWork, Runner
from models.handlers.base import GenerationLoop, LoopOutput
from models.scheduling.memory_limits import MemoryLimit


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that is prepared, or that has been run. `joins`: how its one row joins others, None for a pass."""

    number: int
    runner: Runner
    work: BatchWork
    memory_limits: tuple[MemoryLimit, ...]
    joins: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Something came out of a stream's loop."""

    stream: Stream
    loop: GenerationLoop
    written: LoopOutput


class Stream:
    """True while rows are in it; then nothing else may use the model. `start` makes a loop by its mode."""

    def __init__(self, start: Callable[[str], GenerationLoop]) -> None:
        self._start = start
        self._loop: GenerationLoop | None = None
        self._source: queue.SimpleQueue[Any] | None = None
        self._open: dict[str, Step] = {}
        self._cut_off: list[str] = []
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def numbers(self) -> list[int]:
        """Of the batches whose rows are in it."""
        return [step.number for step in self._open.values()]

    def listen(self, source: queue.SimpleQueue[Any]) -> None:
        """What comes out is put there from now on, as `Ended`."""
        self._source = source

    def takes(self, mode: str) -> bool:
        """Whether a row may join now. Not beside those of another mode, nor while some wait to be run again."""
        return not self._open or (self._loop is not None and self._loop.mode == mode and not self._cut_off)

    def begin(self, mode: str) -> GenerationLoop:
        """Start a loop, in the place of the one before. Raises ModelLoadError."""
        if self._loop is not None:
            self._loop.stop()
        self._loop = loop = self._start(mode)
        threading.Thread(target=self._hear, args=(loop,), name="models.device written", daemon=True).start()
        return loop

    def join(self, step: Step) -> None:
        """Add the row of a step that was prepared well. Raises what starting a loop does."""
        loop = self._loop
        if loop is None or loop.mode != step.joins:
            loop = self.begin(step.joins or "")
        if not self._open:
            self._since = time.perf_counter()
        (item,) = step.work.items
        self._open[str(step.number)] = step
        step.work.times["forward"] = (time.time(), 0.0)
        with suppress(RuntimeError):  # it has ended, which `end` is about to hear
            loop.join(str(step.number), item.value["input_ids"], item.options)
        try:
            step.runner.misbehave(step.work.items)
        except RuntimeError as fault:
            loop.fail(fault)

    def end(self, ended: Ended) -> Iterator[Step]:
        """The steps that come to their end by this. Raises DeviceFailed or Poisoned when the process is done."""
        if ended.loop is not self._loop:
            return
        key, error = ended.written.key, ended.written.error
        if key is None:
            self._loop = None
            yield from self._again(ended.loop.fatal or RuntimeError(error))
        elif key in self._open and error is not None:
            self._cut_off.append(key)
            if len(self._cut_off) == len(self._open):  # as long as others are in the loop, the model is not ours
                yield from self._again(None)
        elif key in self._open:
            step = self._open.pop(key)
            (item,) = step.work.items
            step.work.outputs = [(item, ended.written.tokens)]
            now = time.perf_counter()
            # Rows run beside each other: each is given the time since the last one ended.
            step.work.stats |= {"passes": 1, "padded_tokens": item.length, "forward_seconds": now - self._since}
            self._since = now
            step.work.times["forward"] = (step.work.times["forward"][0], time.time())
            yield step

    def _again(self, failure: Exception | None) -> Iterator[Step]:
        """Run what is left one by one. When the loop ended and nobody's row was why, the device has failed."""
        steps, self._open, self._cut_off = list(self._open.values()), {}, []
        keep = steps[0].runner.keep_inputs if steps else 0
        if failure is not None:
            error_classification.raise_if_sticky(failure, keep)
        explained = failure is None or not steps
        if failure is not None and error_classification.is_memory(failure):
            lengths = [item.length for step in steps for item in step.work.items]
            if steps:
                steps[0].work.ran_out.append((max(lengths), sum(lengths)))
            explained = True
        for step in steps:
            step.runner.forward(step.work, step.memory_limits)
            explained = explained or any("error" in answer for answer in step.work.answers)
            yield step
        if failure is not None and not explained:
            raise DeviceFailed(
                f"continuous batching ended, and alone its requests ran: {error_classification.one_line(failure, keep)}"
            )

    def _hear(self, loop: GenerationLoop) -> None:
        for written in loop.written():
            if self._source is not None:
                self._source.put(Ended(self, loop, written))
