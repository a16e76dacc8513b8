"""The steps of a device process's batches: one after another, or preparing and finishing beside the forward pass.

On a GPU the processor is free while the device computes, so one thread prepares the next batch and finishes the last
one meanwhile. On the CPU both would want the same cores. One thread for both, because tokenizers are not made to be
used by two at once. Rows that join a generation are given to its stream; whatever else comes waits until that is empty.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery_inference.specs.errors import ModelLoadError
from models.device_process.continuous_batching import Ended, Step, Stream
from models.device_process.error_classification import DeviceFailed, Poisoned
from models.device_process.runner import Runner
from models.ipc.answers import packed
from models.ipc.framing import Frames, Message


class ServeLoop:
    """Serves batches on the calling thread until told to stop; answers go out by `link`.

    `load` is called with a `{"load": spec}` message's spec, on the same thread, between batches. `memory` tells after
    each batch what the device's memory holds, in bytes; nothing on the CPU.
    """

    def __init__(
        self,
        link: Frames,
        runners: dict[str, Runner],
        streams: dict[str, Stream],
        *,
        overlap: bool,
        load: Callable[[Message], bool],
        memory: Callable[[], dict[str, int]],
    ) -> None:
        self._link = link
        self._runners = runners
        self._streams = streams
        self._load = load
        self._memory = memory
        self._overlap = overlap
        self._ready: queue.SimpleQueue[Step | Ended | Message] = queue.SimpleQueue()
        self._stream: Stream | None = None  # the one that was joined last
        self._held: deque[Step | Message] = deque()

    def serve(self, inbox: queue.SimpleQueue[Any]) -> None:
        """Until a `{"stop": true}` message, or until the device fails. Only the parent puts messages in, in order."""
        source: queue.SimpleQueue[Any] = inbox
        if self._overlap:
            source = self._ready
            threading.Thread(target=self._beside, args=(inbox,), name="models.device beside", daemon=True).start()
        fine = True
        while fine:
            thing = self._held.popleft() if self._held and not self._stream else source.get()
            if isinstance(thing, Ended):
                fine = self._guarded(thing.stream.numbers, partial(self._end, thing, inbox))
            elif isinstance(thing, dict) and "stop" in thing:
                return
            elif self._must_wait(thing):
                self._held.append(thing)
            elif isinstance(thing, Step):
                fine = self._guarded([thing.number], partial(self._forward_or_join, thing, inbox, source))
            elif "load" in thing:
                self._load(thing["load"])
            else:
                fine = self._guarded([thing["run"]], partial(self._whole, thing, inbox, source))

    def _beside(self, inbox: queue.SimpleQueue[Any]) -> None:
        while True:
            thing = inbox.get()
            if isinstance(thing, Step):
                fine = self._guarded([thing.number], partial(self._finish, thing))
            elif "run" in thing and not self._runners[thing["model"]].handler.one_thread:
                fine = self._guarded([thing["run"]], partial(self._prepare_for_main, thing))
            else:
                self._ready.put(thing)
                continue
            if not fine:
                os._exit(1)

    def _must_wait(self, thing: Step | Message) -> bool:
        """Whether it comes after what is being written: all but rows that may join it."""
        if not self._stream:
            return False
        joins = thing.joins if isinstance(thing, Step) else _joins(thing)
        model = thing.runner.spec.name if isinstance(thing, Step) else thing.get("model")
        same = joins is not None and self._streams.get(str(model)) is self._stream
        return bool(self._held) or not same or not self._stream.takes(str(joins))

    def _whole(self, message: Message, inbox: queue.SimpleQueue[Any], source: queue.SimpleQueue[Any]) -> None:
        self._forward_or_join(self._prepare(message), inbox, source)

    def _prepare(self, message: Message) -> Step:
        self._link.send({"started": message["run"]})  # from here on it may be what ends this process
        runner = self._runners[message["model"]]
        memory_limits = tuple((least, tokens) for least, tokens in message["memory_limits"])
        work = runner.prepare(message["inputs"], message["options"])
        return Step(message["run"], runner, work, memory_limits, _joins(message))

    def _prepare_for_main(self, message: Message) -> None:
        self._ready.put(self._prepare(message))

    def _forward_or_join(self, step: Step, inbox: queue.SimpleQueue[Any], source: queue.SimpleQueue[Any]) -> None:
        stream = self._streams.get(step.runner.spec.name)
        if step.joins is None or stream is None or not step.work.items:
            step.runner.forward(step.work, step.memory_limits)
            self._finish_later(step, inbox)
            return
        stream.listen(source)
        try:
            stream.join(step)
        except ModelLoadError:  # there is no room for another loop now
            step.runner.forward(step.work, step.memory_limits)
            self._finish_later(step, inbox)
        else:
            self._stream = stream

    def _end(self, ended: Ended, inbox: queue.SimpleQueue[Any]) -> None:
        for step in ended.stream.end(ended):
            self._finish_later(step, inbox)

    def _finish_later(self, step: Step, inbox: queue.SimpleQueue[Any]) -> None:
        inbox.put(step) if self._overlap else self._finish(step)

    def _finish(self, step: Step) -> None:
        answers = [packed(answer) for answer in step.runner.finish(step.work)]
        work = step.work
        told = {"stats": work.stats, "times": work.times, "ran_out": work.ran_out, "memory": self._memory()}
        self._link.send({"done": step.number, "answers": answers, **told})

    def _guarded(self, numbers: Sequence[int], step: Callable[[], None]) -> bool:
        """Whether the process is fit for more; what says that it is not is told to the parent."""
        try:
            step()
        except DeviceFailed as error:
            self._link.send({"failed": str(error), "runs": list(numbers)})
            return False
        except Poisoned as error:
            self._link.send({"poisoned": str(error), "runs": list(numbers), "traceback": error.traceback})
            return False
        return True


def _joins(message: Message) -> str | None:
    """How the row of a batch joins others: by its group, which names model and mode."""
    group = message.get("joins")
    return str(group[-1]) if group else None
