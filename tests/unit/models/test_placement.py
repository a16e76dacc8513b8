"""Which models run where: together when they fit, else apart, else refused with the sums."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.engine import capacity
from models.placement import need_bytes, place

GB = 10**9


def spec(name: str, gigabytes: float | None = None, **values: Any) -> ModelSpec:
    memory = None if gigabytes is None else int(gigabytes * GB)
    return ModelSpec(name, "feature-extraction", "someone/" + name, memory_bytes=memory, **values)


def gpu(number: int, gigabytes: float | None = 16) -> Device:
    memory = None if gigabytes is None else int(gigabytes * GB)
    return Device(f"cuda:{number}", "cuda", 1, f"GPU-{number}", "a GPU", memory)


def names(specs: list[ModelSpec], devices: list[Device]) -> dict[str, list[str]]:
    return {one.name: [spec.name for spec in one.specs] for one in place(specs, devices)}


def test_models_that_fit_together_are_on_every_device() -> None:
    both = ["a", "b"]
    assert names([spec("a", 6), spec("b", 10)], [gpu(0), gpu(1)]) == {"cuda:0": both, "cuda:1": both}


def test_what_is_not_known_takes_no_room_and_has_all() -> None:
    assert names([spec("a"), spec("b", 900)], [gpu(0, None)]) == {"cuda:0": ["a", "b"]}


def test_models_that_do_not_fit_together_are_placed_apart() -> None:
    assert names([spec("a", 10), spec("b", 12)], [gpu(0), gpu(1)]) == {"cuda:0": ["b"], "cuda:1": ["a"]}


def test_room_that_is_left_is_used_by_those_that_run_on_the_fewest_devices() -> None:
    placed = names([spec("a", 10), spec("b", 12), spec("small", 3)], [gpu(0), gpu(1), gpu(2)])
    assert all("small" in models for models in placed.values())
    assert sum("a" in models for models in placed.values()) + sum("b" in models for models in placed.values()) == 3


def test_a_model_without_room_is_refused_with_the_sums() -> None:
    sums = r'"b" finds no room: the models need 22\.0 GB \(a 12\.0 GB, b 10\.0 GB\), and the devices have cuda:0 16\.0'
    with pytest.raises(ModelLoadError, match=sums):
        place([spec("a", 12), spec("b", 10)], [gpu(0)])


def test_an_isolated_model_has_a_process_and_a_share_of_the_gpu_of_its_own() -> None:
    shared, alone = place([spec("a", 4), spec("b", 4, isolate=True), spec("c")], [gpu(0)])
    assert (shared.name, [one.name for one in shared.specs]) == ("cuda:0", ["a", "c"])
    assert (alone.name, [one.name for one in alone.specs]) == ("cuda:0/b", ["b"])
    assert (shared.memory_fraction, alone.memory_fraction) == (0.75, 0.25)


def test_on_the_cpu_isolation_is_a_process_and_the_budget_is_the_memory_of_the_machine() -> None:
    cpu = Device("cpu", "cpu", 2, "", "2 threads", 8 * GB)
    assert [one.memory_fraction for one in place([spec("a"), spec("b", 4, isolate=True)], [cpu])] == [None, None]
    with pytest.raises(ModelLoadError, match=r"the models need 10\.0 GB"):
        place([spec("a", 6), spec("b", 4, isolate=True)], [cpu])


def test_a_model_without_a_budget_needs_at_least_its_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "vocab.txt").write_bytes(b"x" * 50)
    one = ModelSpec("one", "feature-extraction", str(tmp_path))
    assert need_bytes(one) == 1000
    assert need_bytes(spec("of the hub")) == 0


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_every_model_is_somewhere_and_no_device_is_overfilled(needs: list[int], rooms: list[int]) -> None:
    specs = [spec(f"m{i}", need) for i, need in enumerate(needs)]
    devices = [gpu(i, room) for i, room in enumerate(rooms)]
    try:
        placed = place(specs, devices)
    except ModelLoadError:
        assert max(needs) > max(rooms) or sum(needs) > min(rooms)
        return
    assert {one.name for where in placed for one in where.specs} == {one.name for one in specs}
    for where in placed:
        assert sum(one.memory_bytes or 0 for one in where.specs) <= (where.device.memory_bytes or 0)


def test_a_model_that_lives_elsewhere_takes_no_room_and_has_a_process_of_its_own() -> None:
    specs = [spec("a", 16), spec("b", 900, endpoint="there", endpoint_batches=3)]
    assert names(specs, [gpu(0), gpu(1)]) == {"cuda:0": ["a"], "cuda:1": ["a"], "endpoint:b": ["b"]}
    (elsewhere,) = (one for one in place(specs, [gpu(0)]) if one.device.kind == "endpoint")
    assert (elsewhere.device.threads, elsewhere.device.visible) == (3, "")
    assert names([specs[1]], [gpu(0)]) == {"endpoint:b": ["b"]}, "no device process without a model"


def test_a_worker_holds_a_few_batches_for_each_device_or_for_the_endpoint() -> None:
    here, there = spec("a", batch_size=8), spec("b", batch_size=8, endpoint="there", endpoint_batches=10)
    at_home = capacity([here], [gpu(0), gpu(1)])
    assert at_home == 2 * 8 * here.pipeline_task.batches_held
    assert capacity([here, there], [gpu(0), gpu(1)]) == max(at_home, 8 * 11)
    assert capacity([there], [gpu(0)]) == 8 * 11
