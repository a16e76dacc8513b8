"""What one device's processes have told: versions, loads, and totals of their batches."""

from __future__ import annotations

from collections import Counter
from typing import Any

from models.ipc.framing import Message

_NOT_SUMMED = ("longest",)


class DeviceStats:
    """Written by the threads of one supervisor, read by any.

    `loads` counts over all processes of the device, `process_loads` those of the present one. `loaded` is what was
    told of each model when it was loaded last, `totals` what batches of each model add up to. `memory` is what the
    device's memory held after the last batch, in bytes; empty on the CPU. `failed` counts the batches that were begun
    when a process ended.
    """

    def __init__(self, models: list[str]) -> None:
        self.versions: dict[str, Any] = {}
        self.loads: Counter[str] = Counter()
        self.process_loads: Counter[str] = Counter()
        self.loaded: dict[str, Message] = {}
        self.totals: dict[str, Counter[str]] = {model: Counter() for model in models}
        self.memory: dict[str, int] = {}
        self.restarts = 0
        self.recycled = 0
        self.failed = 0

    def load(self, message: Message) -> None:
        """A model was loaded."""
        model = message["loaded"]
        self.loaded[model] = message
        self.loads[model] += 1
        self.process_loads[model] += 1

    def forget(self, model: str) -> None:
        """It is not loaded here any more."""
        self.loaded = {name: message for name, message in self.loaded.items() if name != model}

    def add(self, other: DeviceStats) -> None:
        """Take over what another process of the same device counted, which is no more."""
        self.loads.update(other.loads)
        self.restarts += other.restarts
        self.recycled += other.recycled
        self.failed += other.failed
        for model, total in other.totals.items():
            self.totals.setdefault(model, Counter()).update(total)

    def batch(self, model: str, message: Message) -> None:
        """A batch was answered."""
        self.memory = message.get("memory", {})
        total = self.totals[model]
        total["batches"] += 1
        total["out_of_memory"] += len(message["ran_out"])
        total.update({name: figure for name, figure in message["stats"].items() if name not in _NOT_SUMMED})
