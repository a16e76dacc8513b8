"""transformers' continuous batching of one model: rows are added while others are being written.

Its loop runs in a thread of its own and ends for good at the first exception of a forward pass; who uses it finds out
whose fault that was, and makes another. Its cache is sized from the spec's `memory_bytes`, or else for the rows that
the spec allows, and not from all the memory that is free, which is what transformers would take.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.continuous_api import BackgroundThreadStatus
from transformers.generation.continuous_batching.requests import RequestStatus
from transformers.generation.continuous_batching.utils import get_device_and_memory_breakdown

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec

PAGE_TOKENS = 256  # transformers' own; a row takes whole pages of the cache
_PASS_TOKENS = 512  # of prompts that one pass takes in beside the rows that are being written
_WAIT_SECONDS = 0.5  # between looks at whether the loop still runs, while nothing comes out of it
_MOST_OF_THE_MEMORY = 0.9  # that is free, where the spec has no budget
# Each row gives values of its own, but transformers makes no processor for what stands at its neutral value here.
_SAMPLED = {"do_sample": True, "temperature": 0.5, "top_k": 50, "top_p": 0.5}

# It writes of what befalls the loop, which we hear ourselves, and the tokens of what it drops, which are the caller's.
logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """What became of a row: the tokens that it added, or why it was cut off, `key` None then for all that are left."""

    key: str | None
    tokens: list[int]
    error: str | None = None


class ContinuousGeneration:
    """A loop over one model, started. Raises ModelLoadError where the model or its memory does not allow one.

    `mode` is "greedy" or "sampled", which transformers knows for all rows of a loop alone. `ends` are the tokens that
    end a row. While rows are in the loop nothing else may use the model.
    """

    def __init__(self, spec: ModelSpec, model: Any, ends: Sequence[int], mode: str) -> None:
        attention = str(getattr(model.config, "_attn_implementation", None))
        if attention != "sdpa" and not attention.startswith("flash_attention"):
            raise ModelLoadError(
                f'continuous is on, and the model\'s attention is "{attention}": it needs "sdpa" or flash'
            )
        self.mode = mode
        self._model = model
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        self._ends = list(ends) or -1
        self._sampled = mode == "sampled"
        generation = {"eos_token_id": -1, **(_SAMPLED if self._sampled else {"do_sample": False})}
        try:
            self._manager = _manager(model, generation, _config(spec, model, fits=False))
        except MemoryError:
            try:
                self._manager = _manager(model, generation, _config(spec, model, fits=True))
            except (MemoryError, ValueError) as error:
                raise ModelLoadError(f"memory_bytes leaves no room for a cache: {error}") from error
        self.cache_tokens = int(self._manager.batch_processor.cache.num_blocks) * PAGE_TOKENS
        if self.cache_tokens < (needed := _pages(spec) * PAGE_TOKENS):
            raise ModelLoadError(
                f"memory_bytes leaves a cache of {self.cache_tokens:,} tokens, and one request may need {needed:,}"
            )
        self._manager.start()

    def join(self, key: str, ids: Sequence[int], options: dict[str, Any]) -> None:
        """Add a row. Raises RuntimeError when the loop has ended."""
        own = {}
        if self._sampled:
            top_k = min(int(options["top_k"]) or self._vocabulary, self._vocabulary)
            own = {"temperature": float(options["temperature"]), "top_k": top_k, "top_p": float(options["top_p"])}
        most = options["max_new_tokens"]
        taken = self._manager.add_request(
            list(ids), request_id=key, max_new_tokens=most, eos_token_id=self._ends, **own
        )
        if taken is None:
            raise RuntimeError("the loop of continuous batching has ended")

    def written(self) -> Iterator[FinishedRow]:
        """Rows as they end, until the loop does; blocks. The last one has no key when the loop ended by itself."""
        while True:
            output = self._manager.get_result(timeout=_WAIT_SECONDS)
            if output is None:
                if self._manager.is_running():
                    continue
                error = self._manager.background_thread_status.fatal_error
                yield FinishedRow(None, [], f"the loop of continuous batching has ended: {error!r}")
                return
            if output.status == RequestStatus.FAILED or output.error is not None:
                # A loop that breaks fails each of its rows, and then says that it has ended.
                if self._manager.background_thread_status.local_status == BackgroundThreadStatus.DONT_STOP:
                    yield FinishedRow(output.request_id, [], str(output.error))
            elif output.is_finished():
                yield FinishedRow(output.request_id, output.generated_tokens)

    @property
    def fatal(self) -> Exception | None:
        """The exception that ended the loop."""
        error: Exception | None = self._manager.background_thread_status.fatal_error
        return error

    def fail(self, error: Exception) -> None:
        """Raise this in the next pass: what a spec's faults ask for."""

        def once(*_: object) -> None:
            handle.remove()
            raise error

        handle = self._model.register_forward_pre_hook(once)

    def stop(self) -> None:
        """End the loop, and let go of its cache. Nothing may be in it. `written` ends soon after."""
        self._manager.stop(block=True, timeout=10.0, hard_stop=True)


def _manager(model: Any, generation: dict[str, Any], config: ContinuousBatchingConfig) -> Any:
    """A manager with its cache. Raises MemoryError when that does not fit."""
    manager = model.init_continuous_batching(GenerationConfig(**generation), config)
    manager.warmup()
    return manager


def _config(spec: ModelSpec, model: Any, *, fits: bool) -> ContinuousBatchingConfig:
    """Of a cache for as many of the longest rows as the spec lets run at once; or of one that `fits` the memory."""
    pages = _pages(spec) * spec.batch_size
    return ContinuousBatchingConfig(
        num_blocks=None if fits else pages,
        page_size=PAGE_TOKENS,
        max_memory_percent=_share(spec, model),
        max_batch_tokens=max(_PASS_TOKENS, spec.batch_size),
        max_requests_per_batch=spec.batch_size,
        auto_switch_to_flash=False,  # it would fetch kernels from the hub, which are native code
        per_request_processors=True,
    )


def _share(spec: ModelSpec, model: Any) -> float:
    """Which part of the free memory cache and passes may take: what the budget leaves beside the weights."""
    if spec.memory_bytes is None:
        return _MOST_OF_THE_MEMORY
    weights = sum(part.nbytes for part in (*model.parameters(), *model.buffers()))
    _, total, reserved, allocated = get_device_and_memory_breakdown()
    free = total - max(reserved, allocated)
    if spec.memory_bytes <= weights or free <= 0:
        raise ModelLoadError(f"memory_bytes is {spec.memory_bytes:,}, and the weights alone take {weights:,}")
    return float(min(_MOST_OF_THE_MEMORY, (spec.memory_bytes - weights) / free))


def _pages(spec: ModelSpec) -> int:
    """Of the cache, for the longest request that may come."""
    return ceil(spec.longest_tokens / PAGE_TOKENS)
