"""What workers tell of their devices, read with care: a row for each device process and for each model in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.workers.stats import StatsEvent, numbers, text

MEMORY_KINDS = ("process", "allocated", "peak", "reserved", "device")
MODEL_MEMORY_KINDS = ("weights", "peak")
_MAX_CEILINGS = 40  # of one model on one device: one for each power of two


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device process; None and missing kinds of memory are not told. Bytes by `MEMORY_KINDS`.

    `isolated`: why one model has it alone for now; empty where that is not so.
    """

    worker: str
    device: str
    state: str
    restarts: float | None
    batches: float | None
    memory: Mapping[str, float]
    isolated: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether its tensors have memory of their own, beside the process's."""
        return "allocated" in self.memory


@dataclass(frozen=True, slots=True)
class PlacedModel:
    """One model in one device process. Bytes by `MODEL_MEMORY_KINDS`.

    `memory_limits` has, for rows of at least so many tokens, the tokens that a pass may have because more ran out of
    memory.
    """

    worker: str
    device: str
    model: str
    memory: Mapping[str, float]
    memory_limits: tuple[tuple[int, int], ...]


def device_rows(reported: Iterable[StatsEvent]) -> list[DeviceRow]:
    """Each device of each worker."""
    return [_device(one.worker, device, facts) for one in reported for device, facts in sorted(one.devices.items())]


def placed_models(reported: Iterable[StatsEvent]) -> list[PlacedModel]:
    """Each model on each device of each worker, as far as something is told of it."""
    rows: list[PlacedModel] = []
    for one in reported:
        for device, facts in sorted(one.devices.items()):
            memory, memory_limits = _mapping(facts.get("model_memory")), _mapping(facts.get("memory_limits"))
            for model in sorted({text(name) for name in (*memory, *memory_limits)}):
                bytes_of = numbers(_mapping(memory.get(model)))
                kinds = {kind: bytes_of[f"{kind}_bytes"] for kind in MODEL_MEMORY_KINDS if f"{kind}_bytes" in bytes_of}
                rows.append(PlacedModel(one.worker, device, model, kinds, _memory_limits(memory_limits.get(model))))
    return rows


def _device(worker: str, device: str, facts: Mapping[str, Any]) -> DeviceRow:
    counts, memory = numbers(facts), numbers(_mapping(facts.get("memory")))
    return DeviceRow(
        worker,
        device,
        text(facts.get("state", "—")),
        counts.get("restarts"),
        counts.get("batches_at_device"),
        {kind: memory[kind] for kind in MEMORY_KINDS if kind in memory},
        text(facts.get("isolated", "")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _memory_limits(value: Any) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2:
            known = numbers(dict(zip(("least", "tokens"), pair, strict=True)))
            if len(known) == 2:
                found.append((int(known["least"]), int(known["tokens"])))
    return tuple(sorted(found)[:_MAX_CEILINGS])
