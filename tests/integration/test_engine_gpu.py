"""What only a GPU can show: forks, real memory, assertions in a kernel, and who holds the device after a kill."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference.specs.errors import DeviceCrash, InputFailed
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device, discover
from models.engine import Engine
from tests.support import tiny_models
from tests.support.engines import SECONDS, exists, pids, send, spec, wait_for
from tests.support.tiny_models import TEXTS

GPUS = [device for device in discover() if device.kind == "cuda"]
if not GPUS:
    pytest.skip("no GPU here: nvidia-smi lists none", allow_module_level=True)
pytestmark = pytest.mark.gpu
SLACK_MIB = 50  # of the driver's own figures


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return spec("feature-extraction", tiny_models.make("feature-extraction", tmp_path_factory.mktemp("embedder")))


@pytest.fixture
def engine(embedder: ModelSpec) -> Iterator[Engine]:
    engine = Engine([embedder], GPUS[:1])
    engine.start(SECONDS)
    yield engine
    engine.stop(10)


def on_gpu() -> dict[int, int]:
    """Process ids that the driver knows, and their MiB."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    return {int(pid): int(size) for pid, _, size in (line.partition(",") for line in lines) if size.strip().isdecimal()}


def batches(engine: Engine, device: Device) -> int:
    """How many the device's process has answered."""
    (supervisor,) = (supervisor for supervisor in engine._supervisors if supervisor.device is device)
    return sum(total["batches"] for total in supervisor.record.totals.values())


def test_batches_run_on_the_gpu_and_agree_with_the_cpu(engine: Engine, embedder: ModelSpec) -> None:
    cpu = Engine([embedder], discover("cpu"))
    cpu.start(SECONDS)
    try:
        for text in TEXTS[:20]:
            (here,), (there,) = (one.submit(embedder.name, [text]).result(SECONDS) for one in (engine, cpu))
            assert here == pytest.approx(there, abs=1e-3)
    finally:
        cpu.stop(10)


def test_a_parent_that_forks_does_the_gpu_no_harm(engine: Engine, embedder: ModelSpec) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert len(send(engine, embedder, "the cat").result(SECONDS)[0]) == 32
    assert os.getpid() not in on_gpu()


def test_out_of_memory_is_halved_and_remembered(tmp_path: Path) -> None:
    """Activations of the large batch do not fit into the share that the process may take; those of its halves do."""
    folder = tiny_models.make("feature-extraction", tmp_path / "model", hidden_size=1024, intermediate_size=16384)
    one = spec("feature-extraction", folder, batch_size=64, isolate=True, memory_bytes=600_000_000)
    engine = Engine([one], GPUS[:1], state=tmp_path / "state")
    engine.start(SECONDS)
    try:
        futures = [send(engine, one, "cat " * 120) for _ in range(256)]
        outcomes = [future.exception(SECONDS) for future in futures]
        assert not any(isinstance(outcome, InputFailed) for outcome in outcomes)
        assert engine.stats()["models"][one.name]["out_of_memory"] >= 1
    finally:
        engine.stop(10)
    assert json.loads((tmp_path / "state" / "memory-ceilings.json").read_text())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_requests_join_a_generation_on_the_gpu(tmp_path: Path, dtype: str) -> None:
    folder = tiny_models.make("text-generation", tmp_path)
    one = spec("text-generation", folder, continuous="on", dtype=dtype, memory_bytes=2_000_000_000)
    plain = spec("text-generation", folder, name="plain", dtype=dtype)
    engine = Engine([one, plain], GPUS[:1])
    engine.start(SECONDS)
    try:
        assert next(iter(engine.loaded(one.name).values()))["cache_tokens"] > 1_000
        long = send(engine, one, TEXTS[1], max_new_tokens=200)
        wait_for(long.running, "a row at the device")
        short = send(engine, one, "the cat", max_new_tokens=1)
        assert short.result(SECONDS)
        joined, waited = ([send(engine, s, text, max_new_tokens=8) for text in TEXTS[:40]] for s in (one, plain))
        same = sum(a.result(SECONDS) == b.result(SECONDS) for a, b in zip(joined, waited, strict=True))
        assert same >= (38 if dtype == "float32" else 20)  # near ties fall either way
        assert long.result(SECONDS)
    finally:
        engine.stop(10)


def test_a_device_side_assert_fails_its_request_alone(tmp_path: Path) -> None:
    """An embedding that is smaller than its vocabulary: the last token's index is out of range in the kernel."""
    folder = tiny_models.make("feature-extraction", tmp_path)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["always"] = 100_000
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    one = spec("feature-extraction", folder, example="the cat")
    engine = Engine([one], GPUS[:1])
    engine.start(SECONDS)
    try:
        futures = {text: send(engine, one, text) for text in ["the cat", "always", "the dog", "a bird"]}
        outcomes: dict[str, Any] = {text: future.exception(SECONDS) for text, future in futures.items()}
        assert isinstance(outcomes.pop("always"), DeviceCrash)
        assert set(outcomes.values()) == {None}
    finally:
        engine.stop(10)


def used_mib(device: Device) -> int:
    """Of the device's memory, by whomever: process ids in a container are not the driver's."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={device.visible}"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0])


def test_the_gpu_is_free_two_seconds_after_the_parent_was_killed(embedder: ModelSpec) -> None:
    before = used_mib(GPUS[0])
    program = f"""
import json, time
from models.devices import discover
from models.engine import Engine
from celery_inference.specs.model_spec import ModelSpec
spec = ModelSpec.from_json(json.loads({json.dumps(json.dumps(embedder.as_json()))}))
engine = Engine([spec], [device for device in discover() if device.kind == "cuda"][:1])
engine.start({SECONDS})
print([device["pid"] for device in engine.stats()["devices"].values()][0], flush=True)
time.sleep({SECONDS})
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert used_mib(GPUS[0]) > before + SLACK_MIB  # at least a context
        parent.kill()
        killed = time.monotonic()
    wait_for(lambda: not exists(pid) and used_mib(GPUS[0]) <= before + SLACK_MIB, "a free GPU", 10)
    assert time.monotonic() - killed < 2.0


@pytest.mark.skipif(len(GPUS) < 2, reason="one GPU here, two are needed")
def test_two_gpus_share_the_work_and_each_process_sees_one(embedder: ModelSpec) -> None:
    devices: list[Device] = GPUS[:2]
    engine = Engine([embedder], devices)
    engine.start(SECONDS)
    try:
        for future in [send(engine, embedder, text) for text in TEXTS * 20]:
            assert len(future.result(SECONDS)[0]) == 32
        assert len(set(pids(engine))) == 2
        assert all(used_mib(device) > SLACK_MIB for device in devices)
        assert all(batches(engine, device) for device in devices)
    finally:
        engine.stop(10)
