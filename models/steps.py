"""The steps of a device process's batches: one after another, or preparing and finishing beside the forward pass.

On a GPU the processor is free while the device computes, so one thread prepares the next batch and finishes the last
one meanwhile. On the CPU both would want the same cores. One thread for both, because tokenizers are not made to be
used by two at once.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from models.blame import DeviceFailed, Poisoned
from models.frames import Frames, Message
from models.runner import Runner, Work
from models.vectors import packed


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch that is prepared, or that has been run."""

    number: int
    runner: Runner
    work: Work
    ceilings: tuple[tuple[int, int], ...]


class Steps:
    """Serves batches on the calling thread until told to stop; answers go out by `link`.

    `load` is called with a `{"load": spec}` message's spec, on the same thread, between batches. `memory` tells after
    each batch what the device's memory holds.
    """

    def __init__(
        self,
        link: Frames,
        runners: dict[str, Runner],
        *,
        overlap: bool,
        load: Callable[[Message], bool],
        memory: Callable[[], dict[str, int]],
    ) -> None:
        self._link = link
        self._runners = runners
        self._load = load
        self._memory = memory
        self._overlap = overlap
        self._ready: queue.SimpleQueue[_Step | Message] = queue.SimpleQueue()

    def serve(self, inbox: queue.SimpleQueue[Any]) -> None:
        """Until a `{"stop": true}` message, or until the device fails. Only the parent puts messages in, in order."""
        source: queue.SimpleQueue[Any] = inbox
        if self._overlap:
            source = self._ready
            threading.Thread(target=self._beside, args=(inbox,), name="models.device beside", daemon=True).start()
        while True:
            thing = source.get()
            if isinstance(thing, _Step):
                if not self._guarded(thing.number, partial(self._forward, thing)):
                    return
                inbox.put(thing)
            elif "stop" in thing:
                return
            elif "load" in thing:
                self._load(thing["load"])
            elif not self._guarded(thing["run"], partial(self._whole, thing)):
                return

    def _beside(self, inbox: queue.SimpleQueue[Any]) -> None:
        while True:
            thing = inbox.get()
            if isinstance(thing, _Step):
                fine = self._guarded(thing.number, partial(self._finish, thing))
            elif "run" in thing and not self._runners[thing["model"]].adapter.one_thread:
                fine = self._guarded(thing["run"], partial(self._prepare_for_main, thing))
            else:
                self._ready.put(thing)
                continue
            if not fine:
                os._exit(1)

    def _whole(self, message: Message) -> None:
        step = self._prepare(message)
        self._forward(step)
        self._finish(step)

    def _prepare(self, message: Message) -> _Step:
        self._link.send({"started": message["run"]})  # from here on it may be what ends this process
        runner = self._runners[message["model"]]
        ceilings = tuple((least, tokens) for least, tokens in message["ceilings"])
        return _Step(message["run"], runner, runner.prepare(message["inputs"], message["options"]), ceilings)

    def _prepare_for_main(self, message: Message) -> None:
        self._ready.put(self._prepare(message))

    def _forward(self, step: _Step) -> None:
        step.runner.forward(step.work, step.ceilings)

    def _finish(self, step: _Step) -> None:
        answers = [packed(answer) for answer in step.runner.finish(step.work)]
        work = step.work
        told = {"figures": work.figures, "times": work.times, "ran_out": work.ran_out, "memory": self._memory()}
        self._link.send({"done": step.number, "answers": answers, **told})

    def _guarded(self, number: int, step: Callable[[], None]) -> bool:
        """Whether the process is fit for more; what says that it is not is told to the parent."""
        try:
            step()
        except DeviceFailed as error:
            self._link.send({"failed": str(error), "run": number})
            return False
        except Poisoned as error:
            self._link.send({"poisoned": str(error), "run": number})
            return False
        return True
