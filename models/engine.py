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
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from models.desk import Desk
from models.devices import Device
from models.errors import DeviceLost, EngineStopped, ModelLoadError, UnknownModel
from models.keeper import Keeper
from models.spec import ModelSpec

MAX_BYTES = 256 * 1024 * 1024  # inputs held in memory
_TICK_SECONDS = 0.25  # how late an expired request may learn of it

_log = logging.getLogger("models.engine")


def capacity(specs: Sequence[ModelSpec], devices: Sequence[Device]) -> int:
    """How many requests an engine wants to be given at once: enough to choose batches from, no more."""
    return max(spec.batch_size * spec.kind.batches_held for spec in specs) * len(devices)


class Engine:
    """Every model on every device, one process a device. All methods may be called from any thread.

    `on_lost` is called once, from a thread of the engine, when no device is left; requests then end as DeviceLost.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        devices: Sequence[Device],
        *,
        on_lost: Callable[[str], None] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if not specs or not devices:
            raise ValueError("an engine needs at least one model and one device")
        self.capacity = capacity(specs, devices)
        self._specs = {spec.name: spec for spec in specs}
        self._devices = tuple(devices)
        self._on_lost = on_lost
        self._desk = Desk(specs, devices[0].kind, max_bytes=max_bytes)
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._keepers: list[Keeper] = []
        self._lost = False
        self._started = False

    def start(self, timeout_seconds: float) -> None:
        """Start every device process and block until each has loaded and warmed every model once.

        Raises ModelLoadError, with every process ended, when one cannot, or not in time.
        """
        self._keepers = [
            Keeper(
                device,
                list(self._specs.values()),
                self._desk,
                load_seconds=timeout_seconds,
                changed=self._notice,
                may_risk=self._others_are_ready,
            )
            for device in self._devices
        ]
        for keeper in self._keepers:
            keeper.start()
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not self._decided() and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
            problems = [
                f"device {keeper.device.name}: {keeper.problem or f'not loaded in {timeout_seconds:g} s'}"
                for keeper in sorted(self._keepers, key=lambda keeper: not keeper.problem)
                if keeper.state != "ready"
            ]
        if problems:
            self._end(time.monotonic() + 5.0, EngineStopped)
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
    ) -> Future[list[Any]]:
        """Hand over a request as `models.inputs.check` returned it; the future gives one result an input.

        `deadline` is Unix time. Blocks while the engine holds too many bytes. The future may be cancelled until its
        first batch is sealed. Raises EngineStopped after `stop`, DeviceLost when no device is left; the future
        raises InvalidInput, InputFailed, DeviceCrash, Expired, DeviceLost or EngineStopped.
        """
        if model not in self._specs:
            raise UnknownModel.unknown("model", model, self._specs)
        local = None if deadline is None else deadline - time.time() + time.monotonic()
        return self._desk.submit(model, inputs, options or {}, local, request_id)

    def serves(self, model: str) -> bool:
        """Whether it is one of this engine's models."""
        return model in self._specs

    def describe(self, model: str) -> dict[str, Any]:
        """What a result of this model was made with: source, revision, dtype and versions of the libraries."""
        spec = self._specs[model]
        versions = next((keeper.facts for keeper in self._keepers if keeper.facts), {})
        return {
            "model": model,
            "source": Path(spec.source).name if spec.is_folder else spec.source,
            "revision": spec.revision,
            "dtype": spec.dtype,
            "versions": versions,
        }

    def loaded(self, model: str) -> dict[str, dict[str, Any]]:
        """What each device told of the model when it was loaded last: `models.warmup.load` names the facts."""
        return {keeper.device.name: keeper.loaded[model] for keeper in self._keepers if model in keeper.loaded}

    def stats(self) -> dict[str, Any]:
        """Loads, batches, rows, tokens, restarts and what is held, as JSON values."""
        totals: dict[str, Counter[str]] = {}
        for keeper in self._keepers:
            for name, total in keeper.totals.items():
                totals.setdefault(name, Counter()).update(total)
        return {
            "models": {name: dict(total) for name, total in totals.items()},
            "devices": {
                keeper.device.name: {
                    "state": keeper.state,
                    "pid": keeper.pid,
                    "restarts": keeper.restarts,
                    "loads": dict(keeper.loads),
                    "process_loads": dict(keeper.process_loads),
                    "batches_at_device": keeper.batches,
                    "versions": keeper.facts,
                }
                for keeper in self._keepers
            },
            "held": self._desk.sizes,
        }

    def stop(self, timeout_seconds: float) -> None:
        """Give back what waits (EngineStopped), finish what is at the devices, end the processes.

        What has not finished in time ends as EngineStopped too. May be called twice, and before `start`.
        """
        self._end(time.monotonic() + timeout_seconds, EngineStopped)

    def _end(self, deadline: float, error: type[EngineStopped]) -> None:
        self._stopped.set()
        self._desk.close(error, "the engine was stopped before the request could end", all_of_them=False)
        for keeper in self._keepers:
            keeper.stop() if self._started else keeper.kill()
        for keeper in self._keepers:
            if not keeper.join(deadline - time.monotonic()):
                keeper.kill()
                keeper.join(5.0)
        self._desk.close(error, "the engine was stopped before the request could end", all_of_them=True)

    def _decided(self) -> bool:
        states = [keeper.state for keeper in self._keepers]
        return any(state in ("lost", "stopped") for state in states) or all(s == "ready" for s in states)

    def _others_are_ready(self, keeper: Keeper) -> bool:
        return all(other is keeper or other.state in ("ready", "lost") for other in self._keepers)

    def _notice(self) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._keepers and all(keeper.state == "lost" for keeper in self._keepers) and self._started:
            self._all_lost()

    def _all_lost(self) -> None:
        with self._changed:
            if self._lost:
                return
            self._lost = True
        because = f"no device is left: {self._keepers[-1].problem}"
        _log.error(because)
        self._desk.close(DeviceLost, because, all_of_them=True)
        if self._on_lost is not None:
            self._on_lost(because)

    def _tick(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self._desk.expire()
