"""Counts the devices of this machine without touching CUDA: the parent must never initialise it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import DeviceError

_GPU = re.compile(r"^GPU (\d+): (.+) \(UUID: (GPU-[^)]+)\)")
_MIG = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
_LIST_SECONDS = 30  # a cold driver without persistence mode takes several seconds


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, MIG instance, or (a share of) the CPU. `visible` is its process's CUDA_VISIBLE_DEVICES."""

    name: str
    kind: Literal["cuda", "cpu"]
    threads: int
    visible: str = ""
    description: str = ""


def discover(
    setting: str = "auto", *, visible: str | None = None, listing: Callable[[], str] | None = None
) -> tuple[Device, ...]:
    """The devices to start processes on.

    `setting`: "auto" (every visible GPU or MIG instance, else the CPU), "cuda" (GPUs or DeviceError), "cpu", or
    "cpu:N" (N processes that share the cores). `visible` is the value of CUDA_VISIBLE_DEVICES, None when unset.
    `listing` gives the text of `nvidia-smi -L`. May block for some seconds while the driver wakes.
    """
    match = re.fullmatch(r"auto|cuda|cpu(?::([1-9]\d?))?", setting)
    if match is None:
        raise DeviceError(f'devices "{setting}" is not known: auto, cuda, cpu, or cpu:N with N from 1 to 99')
    if not setting.startswith("cpu"):
        cuda = _visible((listing or _nvidia_smi)(), visible)
        if cuda:
            threads = max(1, cores() // len(cuda))
            return tuple(Device(f"cuda:{i}", "cuda", threads, uuid, text) for i, (uuid, text) in enumerate(cuda))
        if setting == "cuda":
            raise DeviceError("devices is cuda, and this process sees no GPU (nvidia-smi -L, CUDA_VISIBLE_DEVICES)")
    count = int(match[1] or 1)
    threads = max(1, cores() // count)
    if count == 1:
        return (Device("cpu", "cpu", threads, description=f"{threads} threads"),)
    return tuple(Device(f"cpu:{i}", "cpu", threads, description=f"{threads} threads") for i in range(count))


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


def _nvidia_smi() -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_LIST_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


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
