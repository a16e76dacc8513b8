"""How an engine keeps its device processes, and what each is told first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.ipc.framing import Message
from models.placement import Placement
from models.scheduling.batch_report import BatchReport
from models.supervision.process import PROGRAM

# Called with the ids of requests whose work begins; with True before it does, and else just after.
OnBegin = Callable[[Sequence[str], bool], None]

_log = logging.getLogger("models.engine")


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """A process that has more than `recycle_bytes` in memory is replaced when it has finished what it has, one at a
    time. `overlap`: prepare and finish beside the forward pass; None: on a GPU. `on_begin`: see models.engine.Engine.
    `on_batch` is called with what became of a batch before its requests are resolved, in a supervisor's thread.
    `keep_inputs`: how many characters of inputs logs and errors may show. `program` is the module that is
    run, `endpoint_program` the one that sends batches to endpoints, where there is one.
    """

    load_seconds: float
    recycle_bytes: int | None = None
    overlap: bool | None = None
    on_begin: OnBegin | None = None
    program: str = PROGRAM
    on_batch: Callable[[BatchReport], None] | None = None
    endpoint_program: str | None = None
    keep_inputs: int = 0

    def program_of(self, device: Device) -> str:
        """The module that a device's process runs."""
        if device.kind != "endpoint":
            return self.program
        assert self.endpoint_program is not None, "the engine has seen to it"
        return self.endpoint_program

    def batches_at(self, device: Device) -> tuple[int, int]:
        """How many batches run on the device at once, and how many it may have."""
        if device.kind == "endpoint":
            return device.threads, device.threads
        return 1, 3 if self.overlaps(device) else 2  # one waits; and one is prepared or finished meanwhile

    def overlaps(self, device: Device) -> bool:
        """Whether that device's process prepares and finishes beside the forward pass."""
        return device.kind == "cuda" if self.overlap is None else self.overlap

    def setup(self, place: Placement, specs: Sequence[ModelSpec], *, first: bool) -> Message:
        """The first message to a process: `specs` are to be loaded now; at the `first` start all of them or none."""
        device = place.device
        return {
            "specs": [spec.as_json() for spec in specs],
            "first": first,
            "kind": device.kind,
            "visible": device.visible,
            "threads": device.threads,
            "memory_fraction": place.memory_fraction,
            "overlap": self.overlaps(device),
            "offline": all(spec.is_folder for spec in place.specs),
            "keep_inputs": self.keep_inputs,
            "log_level": _log.getEffectiveLevel(),
        }
