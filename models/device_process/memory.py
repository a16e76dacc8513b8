"""How much memory this process, and a model on its device, takes. For device processes; numbers are bytes."""

from __future__ import annotations

from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def process_bytes() -> int:
    """What the process has in memory now; 0 where the system does not say."""
    return _status("VmRSS")


def device_bytes() -> dict[str, int]:
    """What this process's tensors take on its GPU, the most that they took, and what is kept for them."""
    return {
        "allocated": torch.cuda.memory_allocated(),
        "peak": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.memory_reserved(),
    }


class Growth:
    """By how much memory has grown since this was made: the device's, and on the CPU the process's own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._before = self._now()

    def now(self) -> int:
        """What is taken now, beyond what was taken then."""
        return max(0, self._now() - self._before)

    def peak(self) -> int:
        """The most that was taken at once since then; on the CPU since the process began."""
        most = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _status("VmHWM")
        return max(self.now(), most - self._before)

    def _now(self) -> int:
        return torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else process_bytes()


def _status(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
