"""The engine with real device processes and tiny models: batches, crashes, and an account of every request."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celery_inference.catalogue.catalogue import load
from celery_inference.specs.errors import (
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    InputFailed,
    InvalidInput,
    ModelLoadError,
    UnknownModel,
)
from celery_inference.specs.model_spec import Faults, ModelSpec
from models.devices import discover
from models.engine import Engine, capacity
from tests.support import tiny_models
from tests.support.engines import SECONDS, exists, pids, running, send, spec, wait_for
from tests.support.tiny_models import TEXTS


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A tiny embedding model that misbehaves when it is asked to."""
    folder = tiny_models.make("feature-extraction", tmp_path_factory.mktemp("embedder"))
    faults = Faults(kill="deadly", hang="endless", fail="poison")
    return spec("feature-extraction", folder, faults=faults, time_limit_seconds=4.0)


@pytest.fixture(scope="module")
def engine(embedder: ModelSpec) -> Iterator[Engine]:
    """One device. Tests leave it able to work, not always in the same process."""
    with running(embedder) as engine:
        yield engine


@pytest.fixture(scope="module")
def patient(embedder: ModelSpec) -> Iterator[Engine]:
    """One device that may be stopped for long before its time limit ends it."""
    with running(replace(embedder, time_limit_seconds=300.0)) as engine:
        yield engine


def one_device(engine: Engine) -> dict[str, Any]:
    (device,) = engine.stats()["devices"].values()
    return dict(device)


def states(engine: Engine) -> list[str]:
    return [device["state"] for device in engine.stats()["devices"].values()]


def test_requests_of_many_threads_share_batches(engine: Engine, embedder: ModelSpec) -> None:
    before = engine.stats()["models"]["feature-extraction"]
    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda text: send(engine, embedder, text).result(SECONDS)[0], TEXTS * 3))
    after = engine.stats()["models"]["feature-extraction"]
    for first, second in zip(results[:200], results[200:400], strict=True):
        assert first == pytest.approx(second, abs=1e-5)
    assert after["rows"] - before.get("rows", 0) == 600
    assert after["batches"] - before.get("batches", 0) <= 600 / 4


def test_an_input_that_raises_fails_alone(engine: Engine, embedder: ModelSpec) -> None:
    texts = [*TEXTS[:30], "a poison for the model", *TEXTS[30:60]]
    futures = [send(engine, embedder, text) for text in texts]
    for text, future in zip(texts, futures, strict=True):
        if "poison" in text:
            with pytest.raises(
                InputFailed, match=r"made the model raise, alone too: RuntimeError: \(withheld\)"
            ) as raised:
                future.result(SECONDS)
            assert "runner.py" in (raised.value.model_traceback or "")
            assert "in misbehave" in (raised.value.model_traceback or "")
        else:
            assert len(future.result(SECONDS)[0]) == 32


def test_an_input_with_too_many_tokens_fails_alone_and_is_named(engine: Engine, embedder: ModelSpec) -> None:
    future = send(engine, embedder, ["the cat", "cat " * 200, "the dog"])
    fine = send(engine, embedder, "the dog")
    with pytest.raises(InvalidInput, match=r"^inputs\[1\] has 202 tokens; at most 128 are allowed$"):
        future.result(SECONDS)
    assert len(fine.result(SECONDS)[0]) == 32


def test_the_terminals_signals_do_not_reach_the_device_process(engine: Engine, embedder: ModelSpec) -> None:
    before = pids(engine)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        os.kill(before[0], number)
    assert len(send(engine, embedder, "the cat").result(SECONDS)[0]) == 32
    assert pids(engine) == before


def test_a_model_that_cannot_be_loaded_ends_the_start_with_one_sentence(embedder: ModelSpec, tmp_path: Path) -> None:
    missing = spec("text-classification", tmp_path / "nowhere")
    engine = Engine([embedder, missing], discover("cpu:2"))
    with pytest.raises(ModelLoadError, match=r'model "text-classification" from .*nowhere cannot be loaded') as caught:
        engine.start(SECONDS)
    assert "\n" not in str(caught.value)
    assert pids(engine) == []
    with pytest.raises(EngineStopped):
        engine.submit("feature-extraction", ["x"], {})


def test_a_start_that_takes_too_long_ends_its_processes(embedder: ModelSpec) -> None:
    engine = Engine([embedder], discover("cpu"))
    with pytest.raises(ModelLoadError, match=r"not loaded in 0\.2 s|did not load in 0\.2 s"):
        engine.start(0.2)
    assert pids(engine) == []


def test_an_engine_that_never_started_can_be_stopped(embedder: ModelSpec) -> None:
    engine = Engine([embedder], discover("cpu"))
    engine.stop(1)
    engine.stop(1)
    with pytest.raises(EngineStopped):
        engine.submit(embedder.name, ["x"], {})


def test_an_unknown_model_is_the_callers_fault(engine: Engine) -> None:
    with pytest.raises(UnknownModel, match=r'Did you mean "feature-extraction"'):
        engine.submit("feature-extractor", ["x"], {})


def test_capacity_is_known_before_anything_starts(embedder: ModelSpec) -> None:
    assert capacity([embedder], discover("cpu:3")) == 3 * 16 * 8
    assert Engine([embedder], discover("cpu:3")).capacity == 3 * 16 * 8


def test_a_deadline_that_passes_while_waiting_is_expiry(patient: Engine, embedder: ModelSpec) -> None:
    (pid,) = pids(patient)
    os.kill(pid, signal.SIGSTOP)
    running = send(patient, embedder, "the cat")
    wait_for(running.running, "a batch at the device")
    late = patient.submit(embedder.name, ["the dog"], {}, deadline=time.time() + 0.1)
    with pytest.raises(Expired):
        late.result(SECONDS)
    os.kill(pid, signal.SIGCONT)
    assert len(running.result(SECONDS)[0]) == 32


def test_what_is_no_json_is_refused_and_nothing_breaks(engine: Engine, embedder: ModelSpec) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        engine.submit(embedder.name, [[{"content": b"bytes"}]], {}).result(SECONDS)
    assert len(send(engine, embedder, "the cat").result(SECONDS)[0]) == 32


def test_kill_of_the_device_process_in_mid_work_loses_and_blames_nobody(patient: Engine, embedder: ModelSpec) -> None:
    futures = [send(patient, embedder, text) for text in TEXTS * 5]
    wait_for(lambda: any(future.done() for future in futures), "a first answer")
    (pid,) = pids(patient)
    os.kill(pid, signal.SIGSTOP)  # so that something is left to do, however fast it was
    futures += [send(patient, embedder, text) for text in TEXTS * 5]
    os.kill(pid, signal.SIGKILL)
    assert not all(future.done() for future in futures)
    assert {len(future.result(SECONDS)[0]) for future in futures} == {32}
    assert pids(patient) != [pid]


def test_a_stopped_process_is_noticed_by_its_time_limit(engine: Engine, embedder: ModelSpec) -> None:
    (pid,) = pids(engine)
    os.kill(pid, signal.SIGSTOP)
    assert len(send(engine, embedder, "a fine text").result(SECONDS)[0]) == 32
    assert pids(engine) != [pid]


def test_an_input_that_hangs_is_ended_and_fails_alone(engine: Engine, embedder: ModelSpec) -> None:
    endless, fine = send(engine, embedder, "an endless text"), send(engine, embedder, "a fine text")
    with pytest.raises(DeviceCrash, match="past the time limit of 4 s") as raised:
        endless.result(SECONDS)
    assert "in misbehave" in (raised.value.model_traceback or ""), "where it hung"
    assert len(fine.result(SECONDS)[0]) == 32


def away(engine: Engine) -> list[tuple[str, int]]:
    """The devices that do not serve now, and how often each was started again."""
    devices = engine.stats()["devices"]
    return [(name, device["restarts"]) for name, device in devices.items() if device["state"] != "ready"]


def test_an_input_that_kills_its_process_fails_alone_and_others_go_on(embedder: ModelSpec) -> None:
    with running(embedder, devices="cpu:2") as engine:
        futures = {text: send(engine, embedder, text) for text in [*TEXTS[:20], "a deadly text", *TEXTS[20:40]]}
        deadly, meanwhile = futures.pop("a deadly text"), 0
        while not deadly.done():
            before = away(engine)
            assert len(send(engine, embedder, "a fine text").result(SECONDS)[0]) == 32
            meanwhile += before == away(engine) != []
        with pytest.raises(DeviceCrash, match="ended the device process 2 times when run alone: killed by SIGKILL"):
            deadly.result()
        assert {len(future.result(SECONDS)[0]) for future in futures.values()} == {32}
        assert meanwhile, "nothing was answered while a device process was started again"
        devices = list(engine.stats()["devices"].values())
        assert sum(device["restarts"] for device in devices) <= 3


def test_preparing_beside_the_forward_pass_changes_no_answer_and_blames_only_the_guilty(
    engine: Engine, embedder: ModelSpec
) -> None:
    expected = {text: send(engine, embedder, text).result(SECONDS)[0] for text in TEXTS[:40]}
    with running(embedder, overlap=True) as overlapped:
        futures = {
            text: send(overlapped, embedder, text) for text in [*expected, "a deadly text", "a poison", "cat " * 200]
        }
        with pytest.raises(DeviceCrash):
            futures.pop("a deadly text").result(SECONDS)
        with pytest.raises(InputFailed):
            futures.pop("a poison").result(SECONDS)
        with pytest.raises(InvalidInput, match="has 202 tokens"):
            futures.pop("cat " * 200).result(SECONDS)
        for text, future in futures.items():
            assert future.result(SECONDS)[0] == pytest.approx(expected[text], abs=1e-5)


def test_each_model_is_loaded_once_in_each_process_over_requests_and_restarts(
    tmp_path: Path, embedder: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = spec("text-classification", tiny_models.make("text-classification", tmp_path))
    once = {embedder.name: 1, classifier.name: 1}
    caplog.set_level(logging.INFO, "models.engine")
    with running(embedder, classifier, devices="cpu:2") as engine:
        for restarts in range(2):
            futures = [send(engine, one, text) for text in TEXTS for one in (embedder, classifier)]
            for future in futures:
                future.result(SECONDS)
            wait_for(lambda: states(engine) == ["ready", "ready"], "two devices that are ready")
            devices = engine.stats()["devices"].values()
            assert [device["process_loads"] for device in devices] == [once, once]
            assert sum(device["restarts"] for device in devices) == restarts
            if not restarts:
                os.kill(pids(engine)[0], signal.SIGKILL)
                wait_for(lambda: loads_in_log(caplog) == 3 * 2, "another process, loaded")
                wait_for(lambda: len(pids(engine)) == 2, "two processes")
        assert loads_in_log(caplog) == 3 * 2


def loads_in_log(caplog: pytest.LogCaptureFixture) -> int:
    return len([record for record in caplog.records if ": loaded " in record.getMessage()])


def test_a_device_that_never_comes_back_is_lost_and_every_request_told(
    embedder: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.symlink_to(embedder.source)
    lost: list[str] = []
    monkeypatch.setattr("models.supervision.supervisor.FAILURES_TO_GIVE_UP", 2)
    with running(spec("feature-extraction", folder), on_lost=lost.append) as engine:
        folder.unlink()
        (pid,) = pids(engine)
        os.kill(pid, signal.SIGSTOP)
        future = send(engine, embedder, "the cat")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DeviceLost, match=r"no device is left: .*cannot be loaded"):
            future.result(SECONDS)
        wait_for(lambda: bool(lost), "the call of on_lost")
        with pytest.raises(DeviceLost):
            send(engine, embedder, "the cat")
    assert len(lost) == 1


def test_the_parent_never_imports_torch_and_its_death_ends_its_children(embedder: ModelSpec) -> None:
    """One child hangs in its work, the other is idle, when the parent is killed."""
    program = f"""
import json, sys, time
from models.devices import discover
from models.engine import Engine
from celery_inference.specs.model_spec import ModelSpec
engine = Engine([ModelSpec.from_json(json.loads({json.dumps(json.dumps(embedder.as_json()))}))], discover("cpu:2"))
engine.start({SECONDS})
assert len(engine.submit("feature-extraction", ["the cat sleeps"], {{}}).result({SECONDS})[0]) == 32
engine.submit("feature-extraction", ["an endless text"], {{}})
time.sleep(0.3)
heavy = {{"torch", "transformers", "tokenizers", "numpy", "PIL"}} & set(sys.modules)
print(json.dumps([list(heavy), [d["pid"] for d in engine.stats()["devices"].values()]]), flush=True)
time.sleep({SECONDS})
"""
    with subprocess.Popen([sys.executable, "-W", "error", "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        heavy, children = json.loads(parent.stdout.readline())
        assert heavy == []
        assert len(children) == 2
        assert all(exists(pid) for pid in children)
        parent.kill()
    wait_for(lambda: not any(exists(pid) for pid in children), "the end of the children", 5)


def test_stop_does_not_wait_for_what_hangs(embedder: ModelSpec) -> None:
    with running(embedder) as engine:
        future = send(engine, embedder, "an endless text")
        wait_for(future.running, "a batch at the device")
        engine.stop(0.5)
        with pytest.raises(EngineStopped):
            future.result(5)
        assert pids(engine) == []


def test_a_hub_id_is_loaded_at_its_revision_and_without_network_once_it_is_cached(
    embedder: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is laid out as huggingface_hub does it; nothing listens where the hub would be."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / revision
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(embedder.source, snapshot)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    path = tmp_path / "models.toml"
    path.write_text(
        f'[tiny]\ntask = "feature-extraction"\nsource = "someone/tiny"\nrevision = "{revision}"\nmax_tokens = 128\n'
    )
    (tiny,) = load(path)
    with running(tiny) as engine:
        assert len(send(engine, tiny, "the cat").result(SECONDS)[0]) == 32
        described = engine.describe("tiny")
    assert (described["source"], described["revision"], described["dtype"]) == ("someone/tiny", revision, "float32")
    assert described["versions"]["transformers"].startswith("5.")


@pytest.mark.slow
def test_eight_devices_share_the_work(embedder: ModelSpec) -> None:
    with running(embedder, devices="cpu:8", start_seconds=200) as engine:
        barrier = threading.Barrier(64)

        def ask(text: str) -> int:
            barrier.wait(SECONDS)
            return len(send(engine, embedder, text).result(SECONDS)[0])

        for _ in range(5):
            with ThreadPoolExecutor(64) as pool:
                assert set(pool.map(ask, TEXTS[:64])) == {32}
        assert len(set(pids(engine))) == 8
        assert {tuple(d["process_loads"].values()) for d in engine.stats()["devices"].values()} == {(1,)}
