"""A model that crashes leaves the shared process, and comes back: what is decided, without processes."""

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.placement import Placement
from models.supervision.crash_history import QUIET_SECONDS, CrashHistory
from models.supervision.isolation import PROCESS_BYTES, Isolation

GB = 1_000_000_000


class Supervised:
    """A supervisor, as far as isolation is concerned."""

    def __init__(self, place: Placement, log: list[str]) -> None:
        self.place, self.device, self.state, self.problem = place, place.device, "starting", ""
        self.record = SimpleNamespace(loaded={}, loads={}, add=lambda record: log.append(f"{self.place.name} adds up"))
        self.absent = SimpleNamespace(defer=lambda model: self._say(f"loads {model}"))
        self.ended, self.log = False, log

    def _say(self, what: str) -> None:
        self.log.append(f"{self.place.name} {what}")

    def has(self, model: str) -> bool:
        return any(spec.name == model for spec in self.place.specs)

    def dismiss(self, model: str) -> None:
        self._say(f"dismisses {model}")
        self.place = replace(self.place, specs=tuple(spec for spec in self.place.specs if spec.name != model))

    def admit(self, spec: ModelSpec) -> None:
        self._say(f"admits {spec.name}")
        self.place = replace(self.place, specs=(*self.place.specs, spec))

    def start(self) -> None:
        self._say("starts")

    def stop(self) -> None:
        self._say("stops")

    def wake(self) -> None:
        pass

    def join(self, timeout_seconds: float) -> bool:
        return self.ended


class Rig:
    """An engine's isolation over one device with three models, and an hour that passes when told."""

    def __init__(self, memory_bytes: int | None = None) -> None:
        self.now, self.log = 0.0, list[str]()
        self.all: list[Any] = []
        device = Device("cuda:0", "cuda", 1, memory_bytes=memory_bytes)
        specs = tuple(ModelSpec(name, "feature-extraction", f"org/{name}", memory_bytes=GB) for name in "abc")
        self.shared: Any = Supervised(Placement("cuda:0", device, specs), self.log)
        self.isolation = Isolation(make=self._make, changed=self._changed, history=CrashHistory(lambda: self.now))
        self.isolation.use([self.shared])
        self.shared.state = "ready"

    def _make(self, place: Placement) -> Any:
        return Supervised(place, self.log)

    def _changed(self, supervisors: list[Any]) -> None:
        self.all = supervisors

    def crash(self, *models: str, times: int = 1) -> None:
        for _ in range(times):
            self.shared.state = "down"
            self.isolation.record_death(self.shared, models)

    @property
    def names(self) -> dict[str, str]:
        return {one.place.name: "".join(spec.name for spec in one.place.specs) for one in self.all}


def test_from_the_second_death_on_it_has_a_process_which_starts_after_the_shared_one_serves() -> None:
    rig = Rig()
    rig.crash("b")
    assert rig.names == {"cuda:0": "abc"}
    rig.crash("b")
    assert rig.names == {"cuda:0": "ac", "cuda:0/b": "b"}
    assert rig.isolation.reasons().keys() == {"cuda:0/b"}
    rig.isolation.look()
    assert rig.log == ["cuda:0 dismisses b"]
    rig.shared.state = "ready"
    rig.isolation.look()
    rig.isolation.look()
    assert rig.log[1:] == ["cuda:0/b starts"]


def test_the_last_model_of_a_process_stays() -> None:
    rig = Rig()
    for model in "abc":
        rig.crash(model, times=4)
    assert rig.names == {"cuda:0": "c", "cuda:0/a": "a", "cuda:0/b": "b"}


def test_several_models_at_once_are_not_set_apart() -> None:
    rig = Rig()
    rig.crash("a", "b", times=5)
    assert rig.names == {"cuda:0": "abc"}


def test_after_an_hour_without_a_death_it_comes_back_once_its_own_process_has_ended() -> None:
    rig = Rig()
    rig.crash("b", times=2)
    rig.shared.state = "ready"
    rig.isolation.look()
    own = rig.all[1]
    own.state, own.record.loads = "ready", {"b": 1}
    rig.now = QUIET_SECONDS - 1
    rig.isolation.record_death(own, ["b"])
    rig.now += QUIET_SECONDS - 1
    rig.isolation.look()
    assert rig.names == {"cuda:0": "ac", "cuda:0/b": "b"}, "its last death is no hour ago"
    rig.log.clear()
    rig.now += 1
    rig.isolation.look()
    rig.isolation.look()
    assert rig.log == ["cuda:0 admits b", "cuda:0/b stops"], "loaded twice at no time"
    own.ended = True
    rig.isolation.look()
    assert rig.log[2:] == ["cuda:0 adds up", "cuda:0 loads b"]
    assert rig.names == {"cuda:0": "acb"}
    assert not rig.isolation.reasons()


def test_without_memory_it_stays_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(memory_bytes=3 * GB + 2 * PROCESS_BYTES - 1)
    rig.crash("b", times=5)
    assert rig.names == {"cuda:0": "abc"}
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said.__dict__["event"] == "model_not_isolated"
    assert "2 processes need 4.0 GB, 3.0 GB of them for models, and cuda:0 has 4.0 GB" in said.getMessage()


def test_the_measured_size_counts_where_it_is_more_than_the_budget() -> None:
    rig = Rig(memory_bytes=3 * GB + 2 * PROCESS_BYTES)
    rig.shared.record.loaded = {"a": {"peak_bytes": 2 * GB}}
    rig.crash("b", times=2)
    assert rig.names == {"cuda:0": "abc"}
    rig = Rig(memory_bytes=3 * GB + 2 * PROCESS_BYTES)
    rig.crash("b", times=2)
    assert rig.names == {"cuda:0": "ac", "cuda:0/b": "b"}


def test_what_cannot_be_loaded_apart_comes_back_and_stays() -> None:
    rig = Rig()
    rig.crash("b", times=2)
    rig.shared.state = "ready"
    rig.isolation.look()
    own = rig.all[1]
    own.state, own.problem, own.ended = "lost", "out of memory", True
    for _ in range(3):
        rig.isolation.look()
    assert rig.names == {"cuda:0": "acb"}
    rig.crash("b", times=3)
    assert rig.names == {"cuda:0": "acb"}
    rig.now += QUIET_SECONDS
    rig.isolation.look()
    rig.crash("b", times=2)
    assert rig.names == {"cuda:0": "ac", "cuda:0/b": "b"}, "after an hour it is tried again"


def test_what_was_given_up_apart_comes_back_after_an_hour_too() -> None:
    rig = Rig()
    rig.crash("b", times=2)
    rig.shared.state = "ready"
    rig.isolation.look()
    own = rig.all[1]
    own.state, own.record.loads, own.ended = "lost", {"b": 1}, True
    rig.isolation.look()
    assert rig.names == {"cuda:0": "ac", "cuda:0/b": "b"}
    rig.now += QUIET_SECONDS
    rig.isolation.look()
    rig.isolation.look()
    assert rig.names == {"cuda:0": "acb"}


def test_nothing_changes_once_the_engine_stops() -> None:
    rig = Rig()
    rig.isolation.stop()
    rig.crash("b", times=3)
    assert rig.names == {"cuda:0": "abc"}
