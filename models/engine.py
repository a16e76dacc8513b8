"""The engine: what stands between a request and the device processes.

engine = Engine(specs, discover())
engine.start(timeout_seconds=300)
vectors = engine.submit("all-minilm-l6-v2", ["some text"], {}).result()
engine.stop(timeout_seconds=30)
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from celery_inference.specs.errors import (
    Cancelled,
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    InferenceError,
    ModelLoadError,
    ModelOut,
    UnknownModel,
)
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.placement import Placement, place
from models.poison_inputs import KEEP_SECONDS, LocalPoisonInputs, PoisonInputs, digest_of
from models.scheduling.batch_report import BatchReport
from models.scheduling.batching import Row
from models.scheduling.memory_limits import MemoryLimits
from models.scheduling.requests import place_in_request
from models.scheduling.scheduler import Scheduler
from models.supervision.crash_history import CrashHistory
from models.supervision.isolation import Isolation
from models.supervision.outlier_detection import OutlierDetection
from models.supervision.process import PROGRAM
from models.supervision.process_config import OnBegin, ProcessConfig
from models.supervision.supervisor import Supervisor

MAX_BYTES = 256 * 1024 * 1024  # inputs held in memory
_TICK_SECONDS = 0.25  # how late an expired request may learn of it

_log = logging.getLogger("models.engine")


def capacity(specs: Sequence[ModelSpec], devices: Sequence[Device]) -> int:
    """How many requests an engine wants to be given at once: enough to choose batches from, no more."""
    here = [spec.batch_size * spec.pipeline_task.batches_held for spec in specs if spec.endpoint is None]
    elsewhere = [spec.batch_size * (spec.endpoint_batches + 1) for spec in specs if spec.endpoint is not None]
    return max([max(here, default=0) * len(devices), *elsewhere]) or 1


class Engine:
    """Every model on every device that has room for it. All methods may be called from any thread.

    One without models starts no process, and refuses every request as UnknownModel.

    `on_lost` is called once when no device is left; requests then end as DeviceLost. `on_out` is called with a model,
    and why, when it can be served on no device, and with an empty reason when it can be again; its requests end as
    ModelOut meanwhile. `on_begin` is called once with the ids of requests whose work begins: with True before their
    first batch is sent to an idle device, and may then take a few milliseconds; with False when the device process
    says that it has begun one that waited behind another, and must not block. `on_batch` is called with what became of
    each batch, before its requests are resolved. All four are called from threads of the engine.

    `state` is the folder where what ran out of memory is remembered. `poison_inputs` is a memory of inputs that ended
    device processes. A process that has more than `recycle_bytes` in memory is replaced. `overlap` and `program` are
    for measurements and tests: see models.supervision.process_config.ProcessConfig. `endpoint_program` is the module
    whose process sends batches to models with an endpoint; without one such models are refused. `keep_inputs`: how many
    characters of inputs logs and errors may show. `crash_history` decides which models get a process of their own.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        devices: Sequence[Device],
        *,
        on_lost: Callable[[str], None] | None = None,
        on_out: Callable[[str, str], None] | None = None,
        on_begin: OnBegin | None = None,
        on_batch: Callable[[BatchReport], None] | None = None,
        max_bytes: int = MAX_BYTES,
        state: Path | None = None,
        poison_inputs: PoisonInputs | None = None,
        recycle_bytes: int | None = None,
        overlap: bool | None = None,
        program: str = PROGRAM,
        endpoint_program: str | None = None,
        keep_inputs: int = 0,
        crash_history: CrashHistory | None = None,
    ) -> None:
        if specs and not devices:
            raise ValueError("an engine with models needs at least one device")
        self.capacity = capacity(specs, devices)
        self._specs = {spec.name: spec for spec in specs}
        self._sources = {spec.name: Path(spec.source).name if spec.is_folder else spec.source for spec in specs}
        self._devices = tuple(devices)
        self._on_lost = on_lost or (lambda because: None)
        self._on_out = on_out or (lambda model, because: None)
        self._poison_inputs = poison_inputs or LocalPoisonInputs()
        self._memory_limits = MemoryLimits(None if state is None else state / "memory-ceilings.json")
        self._scheduler = Scheduler(specs, max_bytes=max_bytes, memory_limits=self._memory_limits, on_blame=self._blame)
        self._config = ProcessConfig(
            0.0, recycle_bytes, overlap, on_begin, program, on_batch, endpoint_program, keep_inputs
        )
        self._changed = threading.Condition()
        self._looking = threading.RLock()  # around what is told of models: it must be told in the order it came about
        self._stopped = threading.Event()
        self._turn, self._outliers = threading.Lock(), OutlierDetection()
        self._isolation = Isolation(make=self._supervisor_of, changed=self._use, history=crash_history)
        self._supervisors: list[Supervisor] = []  # replaced, never changed: other threads go through it
        self._out: set[str] = set()
        self._lost = False
        self._started = False

    def start(self, timeout_seconds: float) -> None:
        """Start every device process and block until each has loaded and warmed its models once.

        Raises ModelLoadError, with every process ended, when one cannot, or not in time, or when there is no room.
        """
        if self._config.endpoint_program is None:
            for spec in self._specs.values():
                if spec.endpoint is not None:
                    raise ModelLoadError(f'model "{spec.name}" has an endpoint, and nothing here reaches it')
        self._config = replace(self._config, load_seconds=timeout_seconds)
        places = place(list(self._specs.values()), self._devices)
        self._isolation.use([self._supervisor_of(one, first=True) for one in places])
        for supervisor in self._supervisors:
            supervisor.start()
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not self._decided() and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
            problems = [
                f"device {supervisor.place.name}: {supervisor.problem or f'not loaded in {timeout_seconds:g} s'}"
                for supervisor in sorted(self._supervisors, key=lambda supervisor: not supervisor.problem)
                if supervisor.state != "ready"
            ]
        if problems:
            self.stop(timeout_seconds=5.0)
            raise ModelLoadError(problems[0])
        self._started = True
        threading.Thread(target=self._tick, name="models.engine tick", daemon=True).start()

    def submit(
        self,
        model: str,
        inputs: list[Any],
        options: dict[str, Any] | None = None,
        *,
        deadline: float | None = None,
        request_id: str = "",
        errors: Mapping[int, InferenceError] | None = None,
    ) -> Future[list[Any]]:
        """Hand over a request as `check_inputs` returned it; the future gives one result an input.

        `errors` are those of inputs that have failed already, by index. Where it is not None an input fails alone: its
        error (InvalidInput, InputFailed or DeviceCrash) stands in its result's place.
        `deadline` is Unix time. Blocks while the engine holds too many bytes. The future may be cancelled until its
        first batch is sealed. Raises EngineStopped after `stop`, DeviceLost when no device is left, ModelOut when
        none has the model, and DeviceCrash for an input that is known; the future raises InvalidInput, InputFailed,
        DeviceCrash, Expired, Cancelled, ModelOut, DeviceLost or EngineStopped.
        """
        if model not in self._specs:
            raise UnknownModel.unknown("model", model, self._specs)
        known = self._known_poison(self._specs[model], inputs, options or {})
        if errors is None and known:
            raise next(iter(known.values()))
        failed = None if errors is None else {**known, **errors}
        local = None if deadline is None else deadline - time.time() + time.monotonic()
        return self._scheduler.submit(model, inputs, options or {}, local, request_id, errors=failed)

    def serves(self, model: str) -> bool:
        """Whether it is one of this engine's models."""
        return model in self._specs

    def cancel(self, request_id: str) -> bool:
        """End the request as Cancelled, if any input of it still waits, and run no more of them; whether one did."""
        return self._scheduler.cancel(request_id, Cancelled("the request was cancelled"))

    def describe(self, model: str) -> dict[str, Any]:
        """What a result of this model was made with: source, revision, dtype and versions of the libraries."""
        spec = self._specs[model]
        told = (supervisor.record.versions for supervisor in self._supervisors if supervisor.has(model))
        return {
            "model": model,
            "source": self._sources[model],
            "revision": spec.revision,
            "dtype": spec.dtype,
            "versions": next(filter(None, told), {}),
        }

    def loaded(self, model: str) -> dict[str, dict[str, Any]]:
        """What each device told of the model when it was loaded last: `models.device_process.warmup.load` names the
        facts."""
        return {
            supervisor.device.name: supervisor.record.loaded[model]
            for supervisor in self._supervisors
            if model in supervisor.record.loaded
        }

    def stats(self) -> dict[str, Any]:
        """Loads, batches, rows, tokens, restarts, memory in bytes, memory limits, and what is held, as JSON values."""
        totals: dict[str, Counter[str]] = {}
        isolated = self._isolation.reasons()
        for supervisor in self._supervisors:
            for name, total in supervisor.record.totals.items():
                totals.setdefault(name, Counter()).update(total)
        return {
            "models": {name: dict(total) for name, total in totals.items()},
            "devices": {
                supervisor.place.name: {
                    "state": supervisor.state,
                    "pid": supervisor.pid,
                    "isolated": isolated.get(supervisor.place.name, ""),
                    "restarts": supervisor.record.restarts,
                    "recycled": supervisor.record.recycled,
                    "failed_batches": supervisor.record.failed,
                    "loads": dict(supervisor.record.loads),
                    "process_loads": dict(supervisor.record.process_loads),
                    "batches_at_device": len(supervisor.in_flight),
                    "versions": supervisor.record.versions,
                    "memory": supervisor.memory(),
                    "model_memory": {
                        name: {kind: loaded[kind] for kind in ("weights_bytes", "peak_bytes") if kind in loaded}
                        for name, loaded in supervisor.record.loaded.items()
                    },
                    "memory_limits": {
                        spec.name: found
                        for spec in supervisor.place.specs
                        if (found := self._memory_limits.of(spec.name, supervisor.device.description))
                    },
                }
                for supervisor in self._supervisors
            },
            "out": sorted(self._out),
            "held": self._scheduler.sizes,
        }

    def stop(self, timeout_seconds: float) -> None:
        """Give back what waits (EngineStopped), finish what is at the devices, end the processes.

        What has not finished in time ends as EngineStopped too. May be called twice, and before `start`.
        """
        deadline, because = time.monotonic() + timeout_seconds, "the engine was stopped before the request could end"
        self._stopped.set()
        self._isolation.stop()
        self._scheduler.close(EngineStopped, because, all_of_them=False)
        for supervisor in self._supervisors:
            supervisor.stop() if self._started else supervisor.kill()
        for supervisor in self._supervisors:
            if not supervisor.join(deadline - time.monotonic()):
                supervisor.kill()
                supervisor.join(5.0)
        self._scheduler.close(EngineStopped, because, all_of_them=True)
        self._memory_limits.save()

    def _supervisor_of(self, one: Placement, *, first: bool = False) -> Supervisor:
        return Supervisor(
            one,
            self._scheduler,
            self._config,
            changed=self._notice,
            died=self._isolation.record_death,
            outliers=self._outliers,
            turn=self._turn,
            first=first,
        )

    def _use(self, supervisors: list[Supervisor]) -> None:
        self._supervisors = supervisors
        self._outliers.use(supervisors)

    def _known_poison(self, spec: ModelSpec, inputs: list[Any], options: dict[str, Any]) -> dict[int, InferenceError]:
        """The errors of inputs that are known to end device processes, by index."""
        digests = [digest_of(spec, value, options) for value in inputs]
        try:
            known = self._poison_inputs.poison_inputs(set(digests))
        except Exception:
            _log.exception("whether the inputs are known to end device processes cannot be asked")
            return {}
        errors: dict[int, InferenceError] = {}
        for index, digest in enumerate(digests):
            if digest in known:
                errors[index] = DeviceCrash(f"inputs is known: {known[digest]}")
                place_in_request(errors[index], index, len(inputs))
        return errors

    def _blame(self, row: Row, sentence: str) -> None:
        digest = digest_of(self._specs[row.model], row.value, row.owner.options)
        try:
            self._poison_inputs.record_poison_input(digest, sentence, KEEP_SECONDS)
        except Exception:
            _log.exception("that an input ends device processes cannot be told to others")

    def _decided(self) -> bool:
        states = [supervisor.state for supervisor in self._supervisors]
        return any(state in ("lost", "stopped") for state in states) or all(s == "ready" for s in states)

    def _notice(self) -> None:
        with self._changed:
            self._changed.notify_all()
        if not self._started or self._stopped.is_set():
            return
        for supervisor in self._supervisors:
            supervisor.wake()
        if all(supervisor.state == "lost" for supervisor in self._supervisors):
            self._all_lost()
        else:
            self._look_for_models()

    def _all_lost(self) -> None:
        with self._changed:
            if self._lost:
                return
            self._lost = True
        because = f"no device is left: {self._supervisors[-1].problem}"
        _log.error(because)
        self._scheduler.close(DeviceLost, because, all_of_them=True)
        self._on_lost(because)

    def _look_for_models(self) -> None:
        """Shut what no device serves, open what one serves again. Supervisors call it, each in its own thread."""
        with self._looking:
            out = {name for name in self._specs if not any(supervisor.serves(name) for supervisor in self._supervisors)}
            gone, back, self._out = out - self._out, self._out - out, out
            for name in gone:
                why = "; ".join(supervisor.why_not(name) for supervisor in self._supervisors if supervisor.has(name))
                because = f'model "{name}" is out: {why}'
                _log.error(because)
                self._scheduler.shut(name, ModelOut, because)
                self._on_out(name, because)
            for name in back:
                _log.warning('model "%s" is served again', name)
                self._scheduler.open(name)
                self._on_out(name, "")

    def _tick(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self._scheduler.expire()
            self._isolation.look()
