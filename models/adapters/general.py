"""The other text tasks, through `transformers.pipeline`, one input at a time.

Batches of arbitrary pipelines leak padding into results (plain feature extraction returns padding rows), so none are
formed here: a task gets batches when it gets an adapter of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import pipeline

from models.adapters import loading, text
from models.adapters.base import Adapter, Prepared
from models.adapters.plain import plain
from models.errors import InvalidInput
from models.spec import ModelSpec


class General(Adapter):
    """Result: the pipeline's own, as JSON values."""

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._pipeline = pipeline(
            spec.task,
            model=spec.source,
            device=device,
            dtype=getattr(torch, spec.dtype),
            trust_remote_code=spec.allow_unsafe,
            model_kwargs={"use_safetensors": loading.safetensors(spec)},
        )
        self._tokenizer = self._pipeline.tokenizer
        if spec.task == "fill-mask":
            self.example = f"The cat sat on the {self._tokenizer.mask_token}."

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        encoding = text.encode(self.spec, self._tokenizer, value)
        if self.spec.task == "fill-mask" and self._tokenizer.mask_token_id not in encoding["input_ids"]:
            raise InvalidInput.because("inputs", f"has no {self._tokenizer.mask_token} to fill")
        return Prepared(row, value, len(encoding["input_ids"]), options, value)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[Any]:
        return [self._pipeline(item.value, **item.options) for item in items]

    def finish(self, output: Any, item: Prepared) -> Any:
        return plain(output)


ADAPTER = General
