"""Keeps one device process: starts it, feeds it batches, reads its answers, starts it again when it dies.

Two threads a device. `_keep` owns the process from before its first start to after its last end (the kernel ties the
process to the thread that started it) and feeds it; `_read` exists once a process and hands answers to the desk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

from models.child import Child
from models.desk import Batch, Desk
from models.devices import Device
from models.frames import Message
from models.spec import ModelSpec

FAILURES_TO_GIVE_UP = 5  # starts or devices that fail in a row, with no batch done in between
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_AT_THE_DEVICE = 2  # one batch runs, one waits

State = Literal["starting", "ready", "down", "lost", "stopped"]

_log = logging.getLogger("models.engine")


class Keeper:
    """One device's keeper. Both callables are called from its threads.

    `changed` is called whenever `state` has changed. `may_risk` says whether this device may run what has ended a
    device process before: not while another is still starting again, or one bad input could take out all.
    """

    def __init__(
        self,
        device: Device,
        specs: Sequence[ModelSpec],
        desk: Desk,
        *,
        load_seconds: float,
        changed: Callable[[], None],
        may_risk: Callable[[Keeper], bool],
    ) -> None:
        self.device = device
        self.state: State = "starting"
        self.problem = ""
        self.pid: int | None = None
        self.restarts = 0
        self.loads: Counter[str] = Counter()
        self.process_loads: Counter[str] = Counter()
        self.facts: dict[str, Any] = {}
        self.loaded: dict[str, Message] = {}  # what the process told of each model when it had loaded it
        self.totals: dict[str, Counter[str]] = {spec.name: Counter() for spec in specs}
        self._specs = {spec.name: spec for spec in specs}
        self._desk = desk
        self._load_seconds = load_seconds
        self._changed = changed
        self._may_risk = may_risk
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._at_device: dict[int, Batch] = {}
        self._running: tuple[int, float] | None = None  # the batch whose turn it is, and since when
        self._begun = 0  # the last batch that the process said it began
        self._failures = 0
        self._gone = False
        self._device_failure = ""
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._keep, name=f"models.keeper {device.name}", daemon=True)

    def start(self) -> None:
        """Start the device process, without waiting for it."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further batch, finish those at the device, then end the process. Does not wait."""
        self._stopping.set()
        self._wake.set()

    def kill(self) -> None:
        """End the process now."""
        self._stopping.set()
        child = self._child
        if child is not None:
            child.kill("the engine was stopped")
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of process and threads; whether they have ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive() or self._thread is threading.current_thread()

    @property
    def batches(self) -> int:
        """Batches at the device."""
        return len(self._at_device)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._live()
            if self.state == "lost" or self._stopping.is_set():
                break
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**self._failures)
            if self._stopping.wait(pause if self._failures else 0.0):
                break
            self.restarts += 1
        if self.state != "lost":
            self._become("stopped")

    def _live(self) -> None:
        """One process's life."""
        try:
            child = Child()
        except OSError as error:
            self._bury(f"it cannot be started: {error}")
            return
        self._child, self.pid, self._gone = child, child.pid, False
        self.problem = self._device_failure = ""
        self.process_loads = Counter()
        reader = threading.Thread(target=self._read, args=(child,), name=f"models.read {self.device.name}", daemon=True)
        reader.start()
        try:
            child.send(self._setup())
            self._feed(child)
        except Exception:
            _log.exception("device %s: its keeper failed; its process is started again", self.device.name)
            child.kill("its keeper failed")
        reader.join()
        self.pid = self._child = None
        ended = child.reap()
        self._bury(self._device_failure or ended)

    def _setup(self) -> Message:
        return {
            "specs": [spec.as_json() for spec in self._specs.values()],
            "kind": self.device.kind,
            "visible": self.device.visible,
            "threads": self.device.threads,
            "offline": all(spec.is_folder for spec in self._specs.values()),
            "log_level": _log.getEffectiveLevel(),
        }

    def _feed(self, child: Child) -> None:
        """Send batches while the process lives; end it when stopping, or when it runs past a limit."""
        loading_until = time.monotonic() + self._load_seconds
        while True:
            self._wake.clear()  # before looking at anything: what changes from here on sets it again
            if self._gone:
                return
            if self._stopping.is_set() and not self._at_device:
                # One that still loads has nothing to lose.
                child.end() if self.state == "ready" else child.kill("the engine was stopped")
                return
            if self.state == "ready" and not self._stopping.is_set() and self._feed_one(child):
                continue
            self._wake.wait(self._check_time(child, loading_until))

    def _feed_one(self, child: Child) -> bool:
        busy = len(self._at_device)
        if busy >= _AT_THE_DEVICE:
            return False
        batch = self._desk.seal(self._wake, full_only=busy > 0, suspects=self._may_risk(self))
        if batch is None:
            return False
        with self._lock:
            self._at_device[batch.number] = batch
            if self._running is None:  # a process that does not even begin is held to the limit as well
                self._running = (batch.number, time.monotonic())
        try:
            child.send(batch.message())
        except (TypeError, ValueError) as error:  # values that `models.inputs.check` never saw
            with self._lock:
                del self._at_device[batch.number]
                if self._running is not None and self._running[0] == batch.number:
                    self._running = None
            sentence = f"inputs cannot be written as JSON: {error}"
            self._desk.answer(batch, [{"error": "InvalidInput", "sentence": sentence}] * len(batch.rows))
        return True

    def _check_time(self, child: Child, loading_until: float) -> float | None:
        """Kill what has run too long; seconds until the next look, None for no need."""
        running = self._running
        if running is not None:
            number, began = running
            batch = self._at_device.get(number)
            limit = self._specs[batch.model].time_limit_seconds if batch else 60.0
            left, reason = began + limit - time.monotonic(), f"it ran past the time limit of {limit:g} s"
        elif self.state != "ready":
            left, reason = loading_until - time.monotonic(), f"it did not load in {self._load_seconds:g} s"
        else:
            return None
        if left <= 0:
            child.kill(reason)
        return max(0.05, left)

    def _read(self, child: Child) -> None:
        while (message := child.receive()) is not None:
            try:
                self._receive(message)
            except Exception:
                _log.exception("device %s: an answer could not be handled", self.device.name)
        self._gone = True
        self._wake.set()

    def _receive(self, message: Message) -> None:
        if "done" in message:
            self._done(message)
        elif "started" in message:
            self._begun = message["started"]
        elif "log" in message:
            level, name, text = message["log"]
            logging.getLogger(name).log(level, "%s: %s", self.device.name, text)
        elif "loaded" in message:
            name = message["loaded"]
            self.loaded[name] = message
            self.loads[name] += 1
            self.process_loads[name] += 1
            seconds = message["load_seconds"], message["warm_seconds"]
            _log.info("device %s: loaded %s in %.1f s, warm after %.1f s more", self.device.name, name, *seconds)
        elif "ready" in message:
            self.facts = message["ready"]
            self._become("ready")
        elif "load_failed" in message:
            self.problem = message["load_failed"]
        elif "failed" in message:
            self._device_failure = message["failed"]

    def _done(self, message: Message) -> None:
        with self._lock:
            batch = self._at_device.pop(message["done"])
            following = next(iter(self._at_device), None)
            self._running = None if following is None else (following, time.monotonic())
        self._failures = 0
        self._wake.set()  # the device is fed first: settling takes longer
        total = self.totals[batch.model]
        total["batches"] += 1
        total.update(message["figures"])
        try:
            self._desk.answer(batch, message["answers"])
        except Exception:
            self._desk.release(batch, "the device process gave an answer that cannot be read")
            raise

    def _bury(self, reason: str) -> None:
        """Settle what was at the device when its process ended, and decide whether it is started again."""
        self._desk.leave(self._wake)
        batches = list(self._at_device.values())
        self._at_device, self._running = {}, None
        started = next((batch for batch in batches if batch.number == self._begun), None)
        was_ready = self.state == "ready"
        if self._stopping.is_set():
            self._desk.give_back(batches)
            return
        if not was_ready and not self.problem:
            self.problem = f"the device process ended while it loaded: {reason}"
        elif was_ready:
            self.problem = reason
        self._desk.give_back(batch for batch in batches if batch is not started)
        explained = False
        if started is not None and self._device_failure:
            self._desk.release(started, f"the device failed: {reason}")
        elif started is not None:
            explained = self._desk.suspect(started, reason)
        self._failures += not explained
        if not self.facts:  # never ready: the first start decides whether there is an engine at all
            self._become("lost")
            return
        hopeless = self._failures >= FAILURES_TO_GIVE_UP and (not was_ready or bool(self._device_failure))
        _log.log(
            logging.ERROR if hopeless else logging.WARNING,
            "device %s: its process ended (%s); %s",
            self.device.name,
            self.problem,
            "given up" if hopeless else "starting another",
        )
        self._become("lost" if hopeless else "down")

    def _become(self, state: State) -> None:
        self.state = state
        self._wake.set()
        self._changed()
