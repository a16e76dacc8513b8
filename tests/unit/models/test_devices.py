"""Devices are counted as CUDA would, without CUDA."""

from pathlib import Path

import pytest

from celery_inference.specs.errors import DeviceError
from models.devices import cores, discover

TWO_GPUS = """\
GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)
"""
ONE_CUT_IN_TWO = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
"""


def visible(listing: str, variable: str | None) -> list[str]:
    return [device.visible for device in discover(visible=variable, listing=lambda: listing) if device.kind == "cuda"]


def test_every_gpu_is_a_device_named_by_its_uuid() -> None:
    devices = discover(listing=lambda: TWO_GPUS)
    assert [(d.name, d.kind, d.visible) for d in devices] == [
        ("cuda:0", "cuda", "GPU-aaaa-1"),
        ("cuda:1", "cuda", "GPU-bbbb-2"),
    ]
    assert all(d.threads >= 1 for d in devices)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ("1", ["GPU-bbbb-2"]),
        ("GPU-b", ["GPU-bbbb-2"]),
        ("0,7,1", ["GPU-aaaa-1"]),
        ("0,0", ["GPU-aaaa-1"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(variable: str | None, expected: list[str]) -> None:
    assert visible(TWO_GPUS, variable) == expected


def test_mig_instances_stand_for_their_gpu() -> None:
    assert visible(ONE_CUT_IN_TWO, None) == ["MIG-cccc-3", "MIG-dddd-4", "GPU-bbbb-2"]
    assert visible(ONE_CUT_IN_TWO, "MIG-dddd-4") == ["MIG-dddd-4"]
    assert visible(ONE_CUT_IN_TWO, "0") == ["MIG-cccc-3", "MIG-dddd-4"]


def test_without_a_gpu_the_cpu_is_one_device_with_all_cores() -> None:
    (cpu,) = discover(listing=lambda: "")
    assert (cpu.name, cpu.kind, cpu.visible, cpu.threads) == ("cpu", "cpu", "", cores())


def test_the_cpu_can_be_several_devices_that_share_the_cores() -> None:
    devices = discover("cpu:8", listing=lambda: TWO_GPUS)
    assert [d.name for d in devices] == [f"cpu:{i}" for i in range(8)]
    assert {d.threads for d in devices} == {max(1, cores() // 8)}


def test_gpus_that_are_asked_for_must_be_there() -> None:
    with pytest.raises(DeviceError, match="sees no GPU"):
        discover("cuda", listing=lambda: "")


@pytest.mark.parametrize("setting", ["gpu", "cpu:0", "cpu:", "cpu:-1", "CPU", ""])
def test_an_unknown_setting_is_refused_with_what_is_allowed(setting: str) -> None:
    with pytest.raises(DeviceError, match="auto, cuda, cpu, or cpu:N"):
        discover(setting, listing=lambda: "")


@pytest.mark.parametrize(("quota", "at_most"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", 10**6)])
def test_a_containers_quota_bounds_the_cores(tmp_path: Path, quota: str, at_most: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert 1 <= cores(file) <= at_most
