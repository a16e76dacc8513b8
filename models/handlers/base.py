"""What a handler is: one model, loaded, that turns prepared inputs into outputs a pass at a time."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import torch

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input ready for the model. `row` is its place in the batch, `length` what padding is counted in, in tokens.

    `size` is the exact length that would be padded, where `length` is coarser. `text` is what the spec's faults look
    for; media have none.
    """

    row: int
    value: Any
    length: int
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    size: int = 0


class Handler(ABC):
    """Runs in the device process, on its main thread. Constructing one loads the model.

    `prepare` raises InvalidInput for what only the tokenizer or decoder can see; `finish` gives JSON values.
    `lengths` are two inputs, a short and a long one, that tell at loading whether padding changes this model's results
    (`models.device_process.padding_check`); None for a model whose inputs never share a padded pass. `equal_lengths`:
    it does.
    """

    model: Any  # of transformers, with the `missing_weights` of `models.handlers.common.from_pretrained`
    example: Any = "The quick brown fox jumps over the lazy dog."
    example_options: Mapping[str, Any] = MappingProxyType({})
    lengths: tuple[Any, Any] | None = None
    equal_lengths = False
    unused_options: frozenset[str] = frozenset()  # of the spec's, those that this model has no use for
    # Whether `forward` uses what `prepare` and `finish` use, so that they may not run beside it.
    one_thread = False

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device

    def refuse_unused(self, given: Iterable[str]) -> None:
        """Raise InvalidInput for an option, of those that a caller gave, that would do nothing."""
        for name in given:
            if name in self.unused_options:
                raise InvalidInput.because(f"option {name}", "means nothing to this model")

    @abstractmethod
    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        """One input, ready for a pass."""

    @abstractmethod
    def forward(self, items: Sequence[Prepared]) -> Sequence[Any]:
        """One output per item."""

    @abstractmethod
    def finish(self, output: Any, item: Prepared) -> Any:
        """An item's output as JSON values."""

    def continuous(self, mode: str) -> GenerationLoop:
        """A loop that rows join while it runs, for kinds whose spec may have `continuous`; see
        `models.device_process.continuous_batching`."""
        raise NotImplementedError

    def probed(self, items: Sequence[Prepared]) -> Sequence[Any]:
        """What tells whether padding changes results: the outputs, or something quicker that comes before them."""
        return self.forward(items)

    def free_memory(self) -> None:
        """After a pass ran out of memory, before its halves are tried."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class LoopOutput(Protocol):
    """What became of a row; without a key the loop has ended, and with it what was left in it."""

    @property
    def key(self) -> str | None: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def error(self) -> str | None: ...


class GenerationLoop(Protocol):
    """See `models.handlers.common.continuous_generation.ContinuousGeneration`."""

    mode: str
    cache_tokens: int

    @property
    def fatal(self) -> Exception | None: ...
    def join(self, key: str, ids: Any, options: dict[str, Any]) -> None: ...
    def written(self) -> Iterator[Any]: ...
    def fail(self, error: Exception) -> None: ...
    def stop(self) -> None: ...
