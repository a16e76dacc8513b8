"""Counts the devices of this machine without touching CUDA: the parent must never initialise it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celery_inference.specs.errors import DeviceError

_GPU = re.compile(r"^GPU (\d+): (.+) \(UUID: (GPU-[^)]+)\)")
_MIG = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
_MIG_SIZE = re.compile(r"\.(\d+)gb")
_LIST_SECONDS = 30  # a cold driver without persistence mode takes several seconds


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, MIG instance, (a share of) the CPU, or an endpoint elsewhere.

    `visible` is its process's CUDA_VISIBLE_DEVICES, `threads` of an endpoint how many batches it is sent at once.
    `memory_bytes` is all that it has, of the CPU its share of the machine's or container's memory; None: not known.
    """

    name: str
    kind: Literal["cuda", "cpu", "endpoint"]
    threads: int
    visible: str = ""
    description: str = ""
    memory_bytes: int | None = None


def discover(
    setting: str = "auto",
    *,
    visible: str | None = None,
    listing: Callable[[], str] | None = None,
    memory: Callable[[], str] | None = None,
) -> tuple[Device, ...]:
    """The devices to start processes on.

    `setting`: "auto" (every visible GPU or MIG instance, else the CPU), "cuda" (GPUs or DeviceError), "cpu", or
    "cpu:N" (N processes that share the cores). `visible` is the value of CUDA_VISIBLE_DEVICES, None when unset.
    `listing` gives the text of `nvidia-smi -L`, `memory` each GPU's UUID and MiB. May block for some seconds
    while the driver wakes.
    """
    match = re.fullmatch(r"auto|cuda|cpu(?::([1-9]\d?))?", setting)
    if match is None:
        raise DeviceError(f'devices "{setting}" is not known: auto, cuda, cpu, or cpu:N with N from 1 to 99')
    if not setting.startswith("cpu"):
        cuda = _visible((listing or _nvidia_smi)(), visible)
        if cuda:
            threads = max(1, cores() // len(cuda))
            sizes = _gpu_bytes((memory or _nvidia_smi_memory)())
            return tuple(
                Device(f"cuda:{i}", "cuda", threads, uuid, text, _mig_bytes(text) or sizes.get(uuid))
                for i, (uuid, text) in enumerate(cuda)
            )
        if setting == "cuda":
            raise DeviceError("devices is cuda, and this process sees no GPU (nvidia-smi -L, CUDA_VISIBLE_DEVICES)")
    count = int(match[1] or 1)
    threads = max(1, cores() // count)
    ram = ram_bytes()
    share = ram // count if ram is not None else None
    names = ["cpu"] if count == 1 else [f"cpu:{i}" for i in range(count)]
    return tuple(Device(name, "cpu", threads, "", f"{threads} threads", share) for name in names)


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores this process may use: its affinity, and a container's quota (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
        if limit != "max":
            allowed = min(allowed, max(1, int(limit) // int(period)))
    except (OSError, ValueError):
        pass
    return allowed


def ram_bytes(limit: Path = Path("/sys/fs/cgroup/memory.max"), machine: Path = Path("/proc/meminfo")) -> int | None:
    """The memory this process may use: the machine's, or its container's (cgroup v2); None where nothing says."""
    total: int | None = None
    try:
        (line,) = (line for line in machine.read_text().splitlines() if line.startswith("MemTotal:"))
        total = int(line.split()[1]) * 1024
        allowed = limit.read_text().strip()
        return total if allowed == "max" else min(total, int(allowed))
    except (OSError, ValueError):
        return total


def _nvidia_smi() -> str:
    return _run_nvidia_smi("-L")


def _nvidia_smi_memory() -> str:
    return _run_nvidia_smi("--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits")


def _run_nvidia_smi(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["nvidia-smi", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_LIST_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _gpu_bytes(text: str) -> dict[str, int]:
    """From lines of "UUID, MiB"."""
    sizes = {}
    for line in text.splitlines():
        uuid, _, size = (part.strip() for part in line.partition(","))
        if size.isdecimal():
            sizes[uuid] = int(size) * 2**20
    return sizes


def _mig_bytes(description: str) -> int | None:
    """A MIG profile names its instance's memory: `1g.5gb`."""
    match = _MIG_SIZE.search(description) if description.startswith("MIG ") else None
    return int(match[1]) * 2**30 if match else None


def _visible(listing: str, visible: str | None) -> list[tuple[str, str]]:
    """(UUID, description) of what `nvidia-smi -L` lists and CUDA_VISIBLE_DEVICES allows, in CUDA's way.

    A GPU that is cut into MIG instances stands for them. CUDA reads the variable up to the first entry it cannot
    resolve, and takes a UUID's beginning for the UUID.
    """
    gpus: list[list[tuple[str, str]]] = []
    names: list[str] = []
    for line in listing.splitlines():
        if gpu := _GPU.match(line):
            gpus.append([(gpu[3], gpu[2])])
            names.append(gpu[3])
        elif (mig := _MIG.match(line)) and gpus:
            if gpus[-1][0][0] == names[-1]:
                gpus[-1] = []
            gpus[-1].append((mig[2], f"MIG {mig[1]}"))
    if visible is None:
        return [instance for gpu in gpus for instance in gpu]
    chosen: list[tuple[str, str]] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal():
            found = gpus[int(entry)] if int(entry) < len(gpus) else []
        elif entry.startswith("GPU-"):
            found = next((gpu for gpu, name in zip(gpus, names, strict=True) if name.startswith(entry)), [])
        else:
            found = [i for gpu in gpus for i in gpu if entry.startswith("MIG-") and i[0].startswith(entry)][:1]
        if not found:
            break
        chosen += [instance for instance in found if instance not in chosen]
    return chosen
