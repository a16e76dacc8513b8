"""The engine over processes that pretend to have a model: eight devices, and everything that can become of one."""

import json
import logging
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from celery_inference.specs.errors import (
    Cancelled,
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    ModelLoadError,
    ModelOut,
)
from celery_inference.specs.model_spec import ModelSpec
from models.engine import Engine
from models.poison_inputs import LocalPoisonInputs
from models.supervision import outlier_detection
from models.supervision.crash_history import QUIET_SECONDS, CrashHistory
from tests.support.engines import SECONDS, pids, running, wait_for

FAKE = "tests.support.fake_device"


def spec(folder: Path, name: str = "one", **values: Any) -> ModelSpec:
    (folder / name).mkdir(exist_ok=True)
    return ModelSpec(name, "feature-extraction", str(folder / name), **{"batch_size": 4, **values})


def ask(engine: Engine, text: str, model: str = "one") -> Any:
    return engine.submit(model, [text]).result(SECONDS)[0]


def devices(engine: Engine) -> list[dict[str, Any]]:
    return list(engine.stats()["devices"].values())


def ready(engine: Engine) -> list[int]:
    """The processes that have loaded their models."""
    return [device["pid"] for device in devices(engine) if device["pid"] and device["state"] == "ready"]


def test_eight_devices_share_the_work_and_a_killed_one_costs_nobody_an_answer(tmp_path: Path) -> None:
    with (
        running(spec(tmp_path, example=0.005), devices="cpu:8", program=FAKE) as engine,
        ThreadPoolExecutor(64) as pool,
    ):
        answers = pool.map(lambda number: ask(engine, f"text {number}"), range(3000))
        victims = pids(engine)
        assert len(victims) == 8
        for pid in victims[:4]:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        assert list(answers) == [f"TEXT {number}" for number in range(3000)]
        wait_for(lambda: sum(device["restarts"] for device in devices(engine)) == 4, "four other processes")
        wait_for(lambda: len(set(ready(engine))) == 8, "eight processes again")
        assert all(device["process_loads"] == {"one": 1} for device in devices(engine))


def test_an_isolated_models_crash_does_not_interrupt_its_neighbours(tmp_path: Path) -> None:
    shared, alone = spec(tmp_path), spec(tmp_path, "alone", isolate=True)
    with running(shared, alone, program=FAKE) as engine:
        before = engine.stats()["devices"]
        assert {name: list(device["loads"]) for name, device in before.items()} == {
            "cpu": ["one"],
            "cpu/alone": ["alone"],
        }
        with pytest.raises(DeviceCrash):
            ask(engine, "deadly", "alone")
        assert (ask(engine, "fine"), ask(engine, "fine", "alone")) == ("FINE", "FINE")
        after = engine.stats()["devices"]
        assert after["cpu"]["pid"] == before["cpu"]["pid"]
        assert after["cpu/alone"]["pid"] != before["cpu/alone"]["pid"]


def test_models_without_room_are_refused_at_the_start(tmp_path: Path) -> None:
    engine_of = running(spec(tmp_path, memory_bytes=10**15), program=FAKE)
    with pytest.raises(ModelLoadError, match="finds no room"), engine_of:
        pass


def test_a_model_that_cannot_be_loaded_again_goes_out_alone_and_comes_back(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    one, other = spec(tmp_path), spec(tmp_path, "other")
    on_out = lambda model, reason: told.append((model, bool(reason)))  # noqa: E731
    with running(one, other, program=FAKE, on_out=on_out) as engine:
        broken = tmp_path / "other" / "broken"
        broken.touch()
        os.kill(pids(engine)[0], signal.SIGKILL)
        wait_for(lambda: engine.stats()["out"] == ["other"], "the model being out")
        assert ask(engine, "fine") == "FINE"
        with pytest.raises(ModelOut, match=r'model "other" is out: cpu: .* it is broken'):
            ask(engine, "fine", "other")
        (pid,) = pids(engine)
        broken.unlink()
        wait_for(lambda: told[-1:] == [("other", False)], "the model being back")
        assert not engine.stats()["out"]
        assert ask(engine, "fine", "other") == "FINE"
        assert pids(engine) == [pid], "it was loaded into the process that serves its neighbour"
        assert told == [("other", True), ("other", False)]


def test_after_a_crash_the_other_models_are_served_before_the_guilty_one_is_loaded(tmp_path: Path) -> None:
    with running(spec(tmp_path), spec(tmp_path, "guilty"), program=FAKE) as engine:
        slow = tmp_path / "guilty" / "slow"
        slow.touch()
        crash = engine.submit("guilty", ["deadly"])
        assert ask(engine, "fine") == "FINE", "the guilty model was loaded first, and does not end loading"
        assert not engine.stats()["out"], "its requests wait for it"
        later = engine.submit("guilty", ["fine"])
        slow.unlink()
        with pytest.raises(DeviceCrash):
            crash.result(SECONDS)
        assert later.result(SECONDS) == ["FINE"]


def test_a_model_that_crashes_twice_has_a_process_of_its_own_until_it_has_behaved(tmp_path: Path) -> None:
    away = [0.0]
    history = CrashHistory(lambda: time.monotonic() + away[0])
    with running(spec(tmp_path), spec(tmp_path, "guilty"), program=FAKE, crash_history=history) as engine:

        def facts() -> dict[str, Any]:
            return dict(engine.stats()["devices"])

        def crash(text: str) -> None:
            with pytest.raises(DeviceCrash):
                ask(engine, text, "guilty")

        crash("deadly")
        wait_for(lambda: all(one["state"] == "ready" for one in facts().values()), "both processes")
        assert {name: dict(one["process_loads"]) for name, one in facts().items()} == {
            "cpu": {"one": 1},
            "cpu/guilty": {"guilty": 1},
        }
        assert "crashed" in facts()["cpu/guilty"]["isolated"]
        shared = facts()["cpu"]["pid"]
        crash("deadly again")
        assert (ask(engine, "fine"), ask(engine, "fine", "guilty")) == ("FINE", "FINE")
        assert facts()["cpu"]["pid"] == shared, "its neighbour was not interrupted"
        batches = engine.stats()["models"]["guilty"]["batches"]
        away[0] = QUIET_SECONDS
        wait_for(lambda: list(facts()) == ["cpu"], "one process again")
        assert ask(engine, "fine", "guilty") == "FINE"
        assert facts()["cpu"]["pid"] == shared
        assert facts()["cpu"]["process_loads"] == {"one": 1, "guilty": 1}
        assert engine.stats()["models"]["guilty"]["batches"] == batches + 1, "what the other process counted counts"
        assert not engine.stats()["out"]


def test_a_model_whose_loading_kills_the_process_is_left_out_of_the_next_one(tmp_path: Path) -> None:
    with running(spec(tmp_path), spec(tmp_path, "other"), program=FAKE) as engine:
        (tmp_path / "other" / "deadly").touch()
        os.kill(pids(engine)[0], signal.SIGKILL)
        wait_for(lambda: engine.stats()["out"] == ["other"], "the model being out")
        assert ask(engine, "fine") == "FINE"


def test_a_failing_device_blames_nobody_and_is_given_up_when_it_fails_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.supervision.supervisor._FIRST_PAUSE_SECONDS", 0.01)
    lost: list[str] = []
    with running(spec(tmp_path), program=FAKE, on_lost=lost.append) as engine:
        for _ in range(4):
            with pytest.raises(DeviceLost, match="the device failed: CUDA error: broken"):
                ask(engine, "broken")
        assert ask(engine, "fine") == "FINE", "a batch that it does well counts"
        for _ in range(5):
            with pytest.raises(DeviceLost):
                ask(engine, "broken")
        wait_for(lambda: bool(lost), "the loss of the last device")
        with pytest.raises(DeviceLost, match="no device is left"):
            ask(engine, "fine")


def test_an_assertion_in_the_device_is_a_crash_of_whoever_caused_it(tmp_path: Path) -> None:
    with running(spec(tmp_path), program=FAKE) as engine:
        texts = ["a", "assertion", "b", "c"]
        futures = [engine.submit("one", [text]) for text in texts]
        outcomes = [future.exception(SECONDS) for future in futures]
        assert [type(outcome) for outcome in outcomes] == [type(None), DeviceCrash, type(None), type(None)]


def test_a_known_killer_is_refused_by_other_engines_before_it_kills(tmp_path: Path) -> None:
    known = LocalPoisonInputs()
    with running(spec(tmp_path), program=FAKE, poison_inputs=known) as engine, pytest.raises(DeviceCrash):
        ask(engine, "deadly")
    with running(spec(tmp_path), program=FAKE, poison_inputs=known) as engine:
        with pytest.raises(DeviceCrash, match=r"inputs\[1\] is known: .*2 times when run alone"):
            engine.submit("one", ["fine", "deadly"])
        with pytest.raises(DeviceCrash, match=r"^inputs is known") as alone:
            engine.submit("one", ["deadly"])
        assert (alone.value.field, alone.value.index) == ("inputs", None)
        first, fine, last = engine.submit("one", ["deadly", "fine", "deadly"], errors={}).result(SECONDS)
        assert (fine, first.index, last.index, type(last)) == ("FINE", 0, 2, DeviceCrash)
        assert ask(engine, "fine") == "FINE"
        assert devices(engine)[0]["restarts"] == 0


def test_a_memory_of_killers_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def poison_inputs(self, digests: Any) -> Any:
            raise OSError("the store is away")

        def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
            raise OSError("the store is away")

    with running(spec(tmp_path), program=FAKE, poison_inputs=Broken()) as engine:
        with pytest.raises(DeviceCrash, match="ended the device process"):
            ask(engine, "deadly")
        assert ask(engine, "fine") == "FINE"
    assert "cannot be asked" in caplog.text


def test_a_leaking_process_is_replaced_between_batches_one_device_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "models.engine")
    fewest = 2
    with running(spec(tmp_path), devices="cpu:2", program=FAKE, recycle_bytes=60_000_000) as engine:
        until = time.monotonic() + SECONDS
        while sum(device["recycled"] for device in devices(engine)) < 3 and time.monotonic() < until:
            # The devices tell of themselves one after the other, so that one look alone may be of two moments.
            fewest = min(fewest, max(sum(device["state"] == "ready" for device in devices(engine)) for _ in range(2)))
            assert ask(engine, "leaky") == "LEAKY"
            time.sleep(0.01)
        assert sum(device["recycled"] for device in devices(engine)) >= 3
    assert fewest >= 1
    assert "is replaced" in caplog.text


def test_what_ran_out_of_memory_is_known_after_a_restart_of_the_worker(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(spec(tmp_path), program=FAKE, state=state) as engine:
        ask(engine, "cramped")
        assert engine.stats()["models"]["one"]["out_of_memory"] == 1
    (memory_limits,) = json.loads((state / "memory-ceilings.json").read_text()).values()
    assert memory_limits == {"64": 64.0}
    with running(spec(tmp_path), program=FAKE, state=state) as engine:
        ask(engine, "fine")
        assert engine.stats()["models"]["one"]["size"] == 1, "the process was told of the ceiling with its batch"


def test_a_request_over_several_batches_stops_at_its_deadline_and_when_it_is_cancelled(tmp_path: Path) -> None:
    with running(spec(tmp_path, batch_size=1, max_inputs=64, example=0.1), program=FAKE) as engine:
        late = engine.submit("one", ["text"] * 60, deadline=time.time() + 0.5)
        with pytest.raises(Expired):
            late.result(SECONDS)
        unwanted = engine.submit("one", ["text"] * 60, request_id="unwanted")
        wait_for(unwanted.running, "its first batch")
        assert engine.cancel("unwanted")
        assert not engine.cancel("unwanted")
        with pytest.raises(Cancelled):
            unwanted.result(SECONDS)
        wait_for(lambda: devices(engine)[0]["batches_at_device"] == 0, "an idle device")
        assert engine.stats()["models"]["one"]["rows"] < 60


@pytest.mark.parametrize("illness", ["dies", ""])
def test_a_device_that_fails_far_more_than_its_peers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, illness: str
) -> None:
    monkeypatch.setattr(outlier_detection, "LEAST_BATCHES", 4)
    one = spec(tmp_path, batch_size=1, example=0.02)
    (tmp_path / "one" / "sick").write_text(illness)
    with running(one, devices="cpu:2", program=FAKE) as engine:

        def states() -> list[str]:
            return sorted(device["state"] for device in devices(engine))

        answers: Counter[str] = Counter()
        until = time.monotonic() + SECONDS
        while "lost" not in states():
            assert time.monotonic() < until, answers
            for future in [engine.submit("one", ["text"]) for _ in range(8)]:
                error = future.exception(SECONDS)
                answers["fine" if error is None else type(error).__name__] += 1
        assert states() == ["lost", "ready"]
        assert "batches failed, and only 0 of" in caplog.text
        assert {one["state"]: one["failed_batches"] > 0 for one in devices(engine)} == {"lost": True, "ready": False}
        assert answers["DeviceCrash"] == 0, "no input is to blame"
        assert (answers["DeviceLost"] == 0) == (illness == "dies")
        assert [ask(engine, "text") for _ in range(20)] == ["TEXT"] * 20


def test_an_input_that_ends_the_processes_of_two_devices_is_to_blame_and_neither_device(tmp_path: Path) -> None:
    with running(spec(tmp_path, batch_size=1), devices="cpu:2", program=FAKE) as engine:
        for number in range(6):
            with pytest.raises(DeviceCrash):
                ask(engine, f"deadly {number}")
        wait_for(lambda: [device["failed_batches"] for device in devices(engine)] == [6, 6], "the account of the last")
        wait_for(lambda: all(device["state"] == "ready" for device in devices(engine)), "both devices again")


def test_stop_finishes_what_runs_and_gives_back_what_waits(tmp_path: Path) -> None:
    with running(spec(tmp_path, example=0.05), program=FAKE) as engine:
        futures = [engine.submit("one", ["text"]) for _ in range(1000)]
        wait_for(lambda: any(future.done() for future in futures), "a first answer")
        engine.stop(30)
        children = pids(engine)
        outcomes = [future.exception(timeout=1) for future in futures]
    assert children == []
    assert {type(outcome) for outcome in outcomes} == {type(None), EngineStopped}


def test_who_begins_is_told_once_and_before_the_batch(tmp_path: Path) -> None:
    begun: list[str] = []

    def on_begin(ids: Any, before: bool) -> None:
        assert before or begun, "of a batch that is sent behind another the process's own word tells"
        begun.extend(ids)

    with running(spec(tmp_path, batch_size=2), program=FAKE, on_begin=on_begin) as engine:
        for number in range(10):
            engine.submit("one", ["a", "b", "c", "d"], request_id=str(number)).result(SECONDS)
            assert begun == [str(one) for one in range(number + 1)]


def test_who_cannot_be_told_that_a_batch_begins_stops_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def on_begin(ids: Any, before: bool) -> None:
        raise RuntimeError("the store is gone")

    with running(spec(tmp_path, batch_size=2), program=FAKE, on_begin=on_begin) as engine:
        (before,) = devices(engine)
        futures = [engine.submit("one", ["text"], request_id=str(number)) for number in range(6)]
        assert [future.result(SECONDS) for future in futures] == [["TEXT"]] * 6
        (after,) = devices(engine)
    assert after["pid"] == before["pid"]
    assert "nobody could be told that a batch begins" in caplog.text


def test_a_batch_that_waits_behind_another_has_begun_when_its_device_says_so(tmp_path: Path) -> None:
    begun: list[tuple[list[str], bool]] = []

    def on_begin(ids: Any, before: bool) -> None:
        begun.append((ids, before))

    with running(spec(tmp_path, batch_size=1, example=3.0), program=FAKE, on_begin=on_begin) as engine:
        (pid,) = pids(engine)
        os.kill(pid, signal.SIGSTOP)
        futures = [engine.submit("one", ["text"], request_id=str(number)) for number in range(3)]
        wait_for(lambda: devices(engine)[0]["batches_at_device"] == 2, "a batch that waits")
        assert begun == [(["0"], True)]
        os.kill(pid, signal.SIGCONT)
        futures[0].result(SECONDS)
        wait_for(lambda: len(begun) == 2, "the next one's turn")
        os.kill(pid, signal.SIGKILL)  # 2 waits meanwhile, and goes back
        assert [future.result(SECONDS) for future in futures[1:]] == [["TEXT"], ["TEXT"]]
    assert sorted(begun, key=str) == [(["0"], True), (["1"], False), (["2"], True)], "each once"
