"""What an adapter is: one model, loaded, that turns prepared inputs into outputs a pass at a time."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input ready for the model. `row` is its place in the batch, `length` what padding is counted in.

    `text` is what the spec's faults look for; media have none.
    """

    row: int
    value: Any
    length: int
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""


class Adapter(ABC):
    """Runs in the device process, on its main thread. Constructing one loads the model.

    `prepare` raises InvalidInput for what only the tokenizer or decoder can see; `finish` gives JSON values.
    """

    example: Any = "The quick brown fox jumps over the lazy dog."
    example_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device

    @abstractmethod
    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        """One input, ready for a pass."""

    @abstractmethod
    def forward(self, items: Sequence[Prepared]) -> Sequence[Any]:
        """One output per item."""

    @abstractmethod
    def finish(self, output: Any, item: Prepared) -> Any:
        """An item's output as JSON values."""

    def free_memory(self) -> None:
        """After a pass ran out of memory, before its halves are tried."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
