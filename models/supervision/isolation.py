"""Gives a model that crashes again and again a device process of its own, and takes it back once it behaves.

A model leaves the shared process while that is down, so that nothing need be unloaded; its own process is started when
the shared one serves again, and has ended before the shared one loads the model anew: it is never loaded twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from celery_inference.log_events import event
from celery_inference.specs.model_spec import ModelSpec
from models.placement import Placement, need_bytes, own_place
from models.supervision.crash_history import DEATHS, QUIET_SECONDS, WINDOW_SECONDS, CrashHistory
from models.supervision.supervisor import Supervisor

# What a device process takes beside its models: Python, torch and transformers have some 0.4 GB on the CPU, and a CUDA
# context about as much of a GPU.
PROCESS_BYTES = 500_000_000
_GB = 1e9

_log = logging.getLogger("models.engine")


@dataclass(slots=True)
class _OwnProcess:
    spec: ModelSpec
    shared: Supervisor
    own: Supervisor
    state: str = "waits"  # for the shared process; then "runs"; then "ends"


class Isolation:
    """Of one engine. `make` gives a supervisor that is not started; `changed` is called with all supervisors when they
    are others. `look` is called from one thread, the rest from any."""

    def __init__(
        self,
        *,
        make: Callable[[Placement], Supervisor],
        changed: Callable[[list[Supervisor]], None],
        history: CrashHistory | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._supervisors: list[Supervisor] = []
        self._make = make
        self._changed = changed
        self._history = history or CrashHistory()
        self._apart: list[_OwnProcess] = []
        self._refused: set[tuple[str, str]] = set()  # device and model: said once, and not tried again until it behaves
        self._stopped = False

    def use(self, supervisors: list[Supervisor]) -> None:
        """These are they now."""
        self._supervisors = supervisors
        self._changed(supervisors)

    def record_death(self, supervisor: Supervisor, models: Collection[str]) -> None:
        """The process of this supervisor died under these models. In the supervisor's own thread, between processes."""
        model = self._history.record_death(models)
        if model is None or not self._history.crashes(model):
            return
        with self._lock:
            shares = supervisor.has(model) and len(supervisor.place.specs) > 1
            if shares and not self._stopped and (supervisor.place.name, model) not in self._refused:
                self._set_apart(supervisor, model)

    def look(self) -> None:
        """Start what waits for its neighbours, and take back what behaves or cannot be loaded apart."""
        with self._lock:
            for one in [] if self._stopped else list(self._apart):
                if one.state == "waits" and one.shared.state in ("ready", "lost", "stopped"):
                    one.state = "runs"
                    one.own.start()
                elif one.state == "runs" and self._returns(one):
                    one.state = "ends"
                    one.shared.admit(one.spec)
                    one.own.stop()
                elif one.state == "ends" and one.own.join(0.0):
                    self._take_back(one)
            for device, model in [each for each in self._refused if self._history.behaves(each[1])]:
                self._refused.remove((device, model))

    def stop(self) -> None:
        """Change nothing from now on."""
        with self._lock:
            self._stopped = True

    def reasons(self) -> dict[str, str]:
        """Why there are the processes that isolation has made, by the names of their places."""
        with self._lock:
            return {one.own.place.name: _reason(one.spec.name) for one in self._apart}

    def _set_apart(self, shared: Supervisor, model: str) -> None:
        (spec,) = (spec for spec in shared.place.specs if spec.name == model)
        if problem := self._without_room(shared):
            self._refused.add((shared.place.name, model))
            said = 'model "%s" crashes its device process on %s, and shares it with others still: %s'
            _log.error(
                said, model, shared.place.name, problem, extra=event("model_not_isolated", model=model, cause=problem)
            )
            return
        own = self._make(own_place(shared.device, spec))
        self._apart.append(_OwnProcess(spec, shared, own))
        self.use([*self._supervisors, own])  # before the other lets go of it: at no time does none serve the model
        shared.dismiss(model)
        said = (
            'model "%s" ended its device process on %s %d times in %d minutes: it has one of its own now; '
            "isolate = true in the catalogue keeps it so"
        )
        facts = event("model_isolated", model=model, device=own.place.name)
        _log.error(said, model, shared.place.name, DEATHS, WINDOW_SECONDS // 60, extra=facts)

    def _returns(self, one: _OwnProcess) -> bool:
        if one.own.state == "lost" and not one.own.record.loads:
            return True  # there is no room after all
        return one.shared.state == "ready" and self._history.behaves(one.spec.name)

    def _take_back(self, one: _OwnProcess) -> None:
        name = one.spec.name
        self._apart.remove(one)
        one.shared.record.add(one.own.record)
        one.shared.absent.defer(name)
        self.use([other for other in self._supervisors if other is not one.own])
        if one.own.record.loads:
            said = 'model "%s" has behaved for %d minutes: it shares the process of %s again'
            facts = event("model_rejoined", model=name, device=one.shared.place.name)
            _log.warning(said, name, QUIET_SECONDS // 60, one.shared.place.name, extra=facts)
        else:
            self._refused.add((one.shared.place.name, name))
            said = 'model "%s" cannot be loaded in a process of its own (%s): it shares that of %s again'
            facts = event("model_not_isolated", model=name, cause=one.own.problem)
            _log.error(said, name, one.own.problem, one.shared.place.name, extra=facts)
        one.shared.wake()

    def _without_room(self, shared: Supervisor) -> str:
        """Why another process does not fit its device; empty when it does, or when that is not known."""
        device = shared.device
        if device.memory_bytes is None:
            return ""
        there = [one for one in self._supervisors if one.device == device]
        models = sum(
            max(need_bytes(spec), one.record.loaded.get(spec.name, {}).get("peak_bytes", 0))
            for one in there
            for spec in one.place.specs
        )
        needed = models + PROCESS_BYTES * (len(there) + 1)
        if needed <= device.memory_bytes:
            return ""
        return (
            f"{len(there) + 1} processes need {needed / _GB:.1f} GB, {models / _GB:.1f} GB of them for models, "
            f"and {device.name} has {device.memory_bytes / _GB:.1f} GB"
        )


def _reason(model: str) -> str:
    return (
        f"{model} crashed, and is kept apart from the others until it has behaved for {QUIET_SECONDS // 60:.0f} minutes"
    )
