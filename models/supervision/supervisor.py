"""Keeps one device process: starts it, feeds it batches, reads its answers, starts it again when it dies.

Two threads a process. `_keep` owns the process from before its first start to after its last end (the kernel ties the
process to the thread that started it) and feeds it; `_read` exists once a process and hands answers to the scheduler.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal

from celery_inference.log_events import event
from celery_inference.specs.model_spec import ModelSpec
from models.ipc.answers import unpacked
from models.ipc.framing import Message
from models.placement import Placement
from models.scheduling.batch_report import BatchReport
from models.scheduling.batching import limits_of, with_facts
from models.scheduling.requests import Batch
from models.scheduling.scheduler import Scheduler
from models.supervision.batch_timeout import BatchTimeout
from models.supervision.in_flight import InFlight, turns_of
from models.supervision.memory_recycling import MemoryRecycling
from models.supervision.outlier_detection import OutlierDetection
from models.supervision.process import DeviceProcess
from models.supervision.process_config import ProcessConfig
from models.supervision.reload_backoff import ReloadBackoff
from models.supervision.stats import DeviceStats

FAILURES_TO_GIVE_UP = 5  # starts or devices that fail in a row, with no batch done in between
FRAMES_SECONDS = 0.2  # for a process that has run too long to write where it is
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0

State = Literal["starting", "ready", "down", "lost", "stopped"]

_log = logging.getLogger("models.engine")


class Supervisor:
    """One device process's supervisor.

    `changed` is called whenever `state` or `absent` has changed, from its threads. `died` is called with the models
    that may have ended a process, between two processes. `outliers` knows the other supervisors. `turn` is held by the
    one whose process is being replaced for its size. `first`: it belongs to an engine that starts, and does not start
    when a model cannot be loaded.
    """

    def __init__(
        self,
        place: Placement,
        scheduler: Scheduler,
        config: ProcessConfig,
        *,
        changed: Callable[[], None],
        outliers: OutlierDetection,
        turn: threading.Lock,
        died: Callable[[Supervisor, Collection[str]], None] = lambda supervisor, models: None,
        first: bool = True,
    ) -> None:
        self.place = place
        self.device = place.device
        self.state: State = "starting"
        self.problem = ""
        self.pid: int | None = None
        self.absent = ReloadBackoff()
        self.record = DeviceStats([spec.name for spec in place.specs])
        self.in_flight = InFlight()
        self.models = frozenset(spec.name for spec in place.specs)
        self._specs = {spec.name: spec for spec in place.specs}
        self._limits = {spec.name: limits_of(spec, place.device) for spec in place.specs}
        self._timeouts = {spec.name: BatchTimeout() for spec in place.specs}
        self._scheduler = scheduler
        self._config = config
        self._at_once, self._most = config.batches_at(place.device)
        # What is elsewhere may come back at any time, and is asked for until it does.
        self._elsewhere = place.device.kind == "endpoint"
        self._changed = changed
        self._died = died
        self._outliers = outliers
        self._size = MemoryRecycling(place.name, config.recycle_bytes, turn)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._loading: tuple[str, float] | None = None  # a model, and since when
        self._failures = 0
        self._first = first
        self._gone = False
        self._verdict: Message | None = None  # the process's own word on why it ends
        self._process: DeviceProcess | None = None
        self._thread = threading.Thread(
            target=self._keep, name=f"models.supervision.supervisor {place.name}", daemon=True
        )

    def start(self) -> None:
        """Start the device process, without waiting for it."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further batch, finish those at the device, then end the process. Does not wait."""
        self._stopping.set()
        self._wake.set()

    def wake(self) -> None:
        """Something has changed elsewhere: what was refused before may be taken now."""
        self._wake.set()

    def kill(self) -> None:
        """End the process now."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.kill("the engine was stopped")
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of process and threads; whether they have ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive() or self._thread is threading.current_thread()

    def serves(self, model: str) -> bool:
        """Whether requests for the model may wait for this device."""
        return model in self.models and self.state not in ("lost", "stopped") and not self.absent.failed(model)

    def has(self, model: str) -> bool:
        """Whether the model is placed here."""
        return model in self.models

    def dismiss(self, model: str) -> None:
        """It is placed elsewhere from now on. Called by `died`: no process has it."""
        self._use(tuple(spec for spec in self.place.specs if spec.name != model))
        self.absent.back(model)
        self.record.forget(model)

    def admit(self, spec: ModelSpec) -> None:
        """A model that was dismissed is placed here again, and is loaded once `absent` has it due."""
        self.absent.defer(spec.name, due=False)
        self._use((*self.place.specs, spec))

    def _use(self, specs: tuple[ModelSpec, ...]) -> None:
        self.place = replace(self.place, specs=specs)
        self.models = frozenset(spec.name for spec in specs)

    def memory(self) -> dict[str, int]:
        """Bytes: of the process, of its tensors on a GPU as they were after the last batch, and all of the device."""
        process = self._process
        with_facts = {"process": process.memory_bytes() if process is not None else 0, **self.record.memory}
        return with_facts if self.device.memory_bytes is None else {**with_facts, "device": self.device.memory_bytes}

    def why_not(self, model: str) -> str:
        """Why it does not."""
        return f"{self.place.name}: {self.absent.because(model) or self.problem}"

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._live()
            if self.state == "lost" or self._stopping.is_set():
                break
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**self._failures)
            if self._stopping.wait(pause if self._failures else 0.0):
                break
            self.record.restarts += 1
        self._size.done()
        if self.state != "lost":
            self._become("stopped")

    def _live(self) -> None:
        """One process's life."""
        try:
            process = DeviceProcess(self._config.program_of(self.device))
        except OSError as error:
            self._settle_ended(f"it cannot be started: {error}")
            return
        self._process, self.pid, self._gone = process, process.pid, False
        self.problem, self._verdict, self._loading = "", None, None
        self.record.process_loads = Counter()
        name = f"models.read {self.place.name}"
        reader = threading.Thread(target=self._read, args=(process,), name=name, daemon=True)
        reader.start()
        try:
            present = [spec for spec in self.place.specs if spec.name not in self.absent]
            process.send(self._config.setup(self.place, present or self.place.specs, first=self._first))
            self._feed(process)
        except Exception:
            _log.exception("device %s: its supervisor failed; its process is started again", self.place.name)
            process.kill("its supervisor failed")
        reader.join()
        self.pid = self._process = None
        ended = process.reap()
        self._settle_ended(ended, process.frames)

    def _feed(self, process: DeviceProcess) -> None:
        """Send batches while the process lives; end it when stopping, or when it runs past a limit."""
        started = time.monotonic()
        while True:
            self._wake.clear()  # before looking at anything: what changes from here on sets it again
            if self._gone:
                return
            ready = self.state == "ready"
            ending = self._stopping.is_set() or (ready and self._size.look(process))
            if ending and not self.in_flight:
                # One that still loads has nothing to lose.
                process.end() if ready else process.kill("the engine was stopped")
                return
            if ready and not ending and self._give(process):
                continue
            self._wake.wait(self._patience(process, started))

    def _give(self, process: DeviceProcess) -> bool:
        """Give the process a batch, or a model that it lacks; whether there was one to give."""
        busy, running = self.in_flight.turns, self.in_flight.joinable()
        full = busy >= self._most
        if self._loading is not None or (full and running is None) or self.in_flight.alone():
            return False
        lacking = self.absent.due()
        if lacking is not None and self.absent.overdue(lacking):
            if not busy:
                self._load(process, lacking)
            return False
        present = {name: limits for name, limits in self._limits.items() if self._present(name)}
        batch = self._scheduler.seal(
            self._wake,
            present,
            self.device,
            full_only=busy >= self._at_once,
            suspects=self._outliers.are_ready(self),
            place=self.place.name,
            elsewhere=self._outliers.serving(self),
            running=running,
            joining_only=full,
        )
        if batch is None:
            if lacking is not None and not busy:
                self._load(process, lacking)
            return False
        joins_now = batch.joins and busy == 1 and running is not None and running.group == batch.group
        if not busy or joins_now:
            self._report_beginning(batch, before=True)
        for part in batch.apart() if batch.joins else [batch]:
            self._send(process, part)
        return True

    def _present(self, model: str) -> bool:
        """Whether the process has loaded it."""
        return model in self.models and model not in self.absent

    def _load(self, process: DeviceProcess, model: str) -> None:
        """Have it loaded; the process runs nothing meanwhile."""
        self._scheduler.leave(self._wake)
        self._loading = (model, time.monotonic())
        process.send({"load": self._specs[model].as_json()})

    def _send(self, process: DeviceProcess, batch: Batch) -> None:
        self.in_flight.add(batch)
        try:
            process.send(batch.message())
        except (TypeError, ValueError) as error:  # values that `celery_inference.inputs.check.check_inputs` never saw
            self.in_flight.remove(batch.number)
            sentence = f"inputs cannot be written as JSON: {error}"
            self._scheduler.answer(batch, [{"error": "InvalidInput", "sentence": sentence}] * len(batch.rows))

    def _report_beginning(self, batch: Batch, *, before: bool) -> None:
        """A batch that is sent behind another may never begin; the process's own word says that it does."""
        if self._config.on_begin is not None and (ids := batch.beginning()):
            try:
                self._config.on_begin(ids, before)
            except Exception:
                # The batch is in no book yet: it would be lost with the process that this thread keeps.
                _log.exception("device %s: nobody could be told that a batch begins", self.place.name)

    def _patience(self, process: DeviceProcess, started: float) -> float | None:
        """Kill what has run too long; seconds until the next look, None for no need."""
        loading, first = self._loading, self.in_flight.first()
        load_seconds = self._config.load_seconds
        reason = f"it did not load in {load_seconds:g} s"
        if self.state != "ready":
            left = started + load_seconds - time.monotonic()
        elif loading is not None:
            left = loading[1] + load_seconds - time.monotonic()
        elif first is not None:
            batch = first[0]
            alone = any(row.alone for row in batch.rows)
            most = self._specs[batch.model].time_limit_seconds
            limit = self._timeouts[batch.model].limit_seconds(batch.tokens, most, alone=alone)
            left, reason = limit - first[1], f"it ran past the time limit of {limit:g} s"
        else:
            waits = (self._size.look_seconds, self.absent.wait_seconds())
            return min((wait for wait in waits if wait is not None), default=None)
        if left <= -FRAMES_SECONDS:
            process.kill(reason)
        elif left <= 0:
            process.ask_for_frames(reason)
        return max(0.05, left)

    def _read(self, process: DeviceProcess) -> None:
        while (message := process.receive()) is not None:
            try:
                self._receive(message, process)
            except Exception:
                _log.exception("device %s: an answer could not be handled", self.place.name)
        self._gone = True
        self._wake.set()

    def _receive(self, message: Message, process: DeviceProcess) -> None:
        if "done" in message:
            self._done(message)
        elif "started" in message:
            begun = self.in_flight.begin(message["started"])
            if begun is not None:
                self._report_beginning(begun, before=False)
        elif "log" in message:
            level, name, text = message["log"]
            logging.getLogger(name).log(level, "%s: %s", self.place.name, text)
        elif "loading" in message:
            self._loading = (message["loading"], time.monotonic())
        elif "loaded" in message:
            self._loaded(message)
        elif "load_failed" in message:
            self._load_failed(message)
        elif "ready" in message:
            self._ready(message["ready"], process)
        else:
            self._verdict = message

    def _ready(self, versions: Message, process: DeviceProcess) -> None:
        self.record.versions = versions
        self._loading, self._first = None, False
        self._size.loaded(process)
        self._size.done()
        self._become("ready")

    def _loaded(self, message: Message) -> None:
        name = message["loaded"]
        self._loading = None
        self.record.load(message)
        self._limits[name] = with_facts(self._limits[name], message)
        seconds = message["load_seconds"], message["warm_seconds"]
        _log.info("device %s: loaded %s in %.1f s, warm after %.1f s more", self.place.name, name, *seconds)
        if self.absent.back(name):
            self._changed()
        self._wake.set()

    def _load_failed(self, message: Message) -> None:
        self._loading = None
        self.problem = message["load_failed"]
        alone = len(self._specs) == 1 and not self._elsewhere
        if self._first or message["model"] is None or alone:
            return  # the process ends, and that is what is tried again
        pause = self.absent.fail(message["model"], self.problem)
        _log.error(
            "device %s: %s; tried again in %.0f s",
            self.place.name,
            self.problem,
            pause,
            extra=event("device_failed", device=self.place.name, cause=self.problem),
        )
        self._changed()
        self._wake.set()

    def _done(self, message: Message) -> None:
        batch = self.in_flight.remove(message["done"])
        self._failures = 0
        self._outliers.record_batch(self, failed=False)
        self._wake.set()  # the device is fed first: settling takes longer
        stats, memory_limits = message["stats"], self._scheduler.memory_limits
        self.record.batch(batch.model, message)
        self._timeouts[batch.model].record_batch(batch.tokens, stats["seconds"])
        for longest, tokens in message["ran_out"]:
            memory_limits.ran_out(batch.model, self.device.description, longest, tokens)
        if not message["ran_out"]:
            limit = self._limits[batch.model].tokens
            memory_limits.passed(batch.model, self.device.description, stats["longest"], limit)
        self._report(batch, message)
        try:
            self._scheduler.answer(batch, [unpacked(answer) for answer in message["answers"]])
        except Exception:
            self._scheduler.release(batch, "the device process gave an answer that cannot be read")
            raise

    def _report(self, batch: Batch, message: Message, problem: str = "") -> None:
        """Tell who follows batches; what it raises must cost no request its answer."""
        if self._config.on_batch is None:
            return
        try:
            self._config.on_batch(BatchReport.of(batch, self.place.name, message, problem))
        except Exception:
            _log.exception("device %s: what became of a batch could not be told", self.place.name)

    def _settle_ended(self, ended: str, frames: str = "") -> None:
        """Settle what was at the device when its process ended, and decide whether it is started again."""
        self._scheduler.leave(self._wake)
        begun, others = self.in_flight.clear()
        was_ready, loading, verdict = self.state == "ready", self._loading, self._verdict or {}
        if self._stopping.is_set():
            self._scheduler.give_back([*begun, *others])
            return
        if was_ready and self._size.replacing and not begun:
            self._scheduler.give_back(others)
            self.record.recycled += 1
            self._become("down")
            return
        device_failure = verdict.get("failed", "")
        reason = device_failure or verdict.get("poisoned", "") or ended
        if was_ready:
            self.problem = reason
        elif not self.problem:
            self.problem = f"the device process ended while it loaded: {reason}"
        self._scheduler.give_back(others)
        told = verdict.get("traceback", "") or (frames and f"In the device process:\n{frames}")
        explained, guilty = self._settle(begun, reason, verdict, told)
        turns = turns_of(begun)
        blamed = [why for _ in range(turns) if (why := self._outliers.record_batch(self, failed=True))]
        self.record.failed += turns
        if loading is not None and not self._first and len(self._specs) > 1:
            # The next process begins without it, so that its neighbours are served.
            self.absent.fail(loading[0], f'model "{loading[0]}" ended its device process while it loaded: {reason}')
            explained = explained or any(map(self._present, self._specs))
            self._changed()
        if loading is not None:
            guilty = (loading[0],)
        for model in guilty:
            # The next process serves the others before it loads what may end it again.
            self.absent.defer(model)
        self._died(self, guilty)
        self._failures += not explained
        if self._first:  # never ready: the first start decides whether there is an engine at all
            self._become("lost")
            return
        if blamed:
            self.problem = f"{self.problem}; {blamed[-1]}"
        hopeless = bool(blamed) or (self._failures >= FAILURES_TO_GIVE_UP and (not was_ready or bool(device_failure)))
        hopeless = hopeless and not self._elsewhere
        level, next_ = (logging.ERROR, "given up") if hopeless else (logging.WARNING, "starting another")
        told = event("device_failed", device=self.place.name, cause=self.problem)
        _log.log(level, "device %s: its process ended (%s); %s", self.place.name, self.problem, next_, extra=told)
        self._become("lost" if hopeless else "down")

    def _settle(
        self, begun: list[Batch], reason: str, verdict: Message, traceback: str
    ) -> tuple[bool, Collection[str]]:
        """What becomes of the batches that the process had begun; whether one of them explains its end, and the models
        that may be guilty of it."""
        for batch in begun:
            self._report(batch, {}, reason)
        guilty = [batch for batch in begun if not verdict or batch.number in verdict["runs"]]
        self._scheduler.give_back([batch for batch in begun if batch not in guilty])
        if "failed" not in verdict:
            explained = bool(guilty) and self._scheduler.suspect(guilty, reason, self.place.name, traceback)
            return explained, {batch.model for batch in guilty}
        for batch in guilty:
            self._scheduler.release(batch, f"the device failed: {reason}")
        return False, ()

    def _become(self, state: State) -> None:
        self.state = state
        self._wake.set()
        self._changed()
