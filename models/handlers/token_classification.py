"""token-classification: the entities that a text names, with their places in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Prepared
from models.handlers.common import tokenization
from models.handlers.common.json_values import plain
from models.handlers.encoder import Encoder


class TokenClassification(Encoder):
    """Result: as the pipeline's, `{"entity_group" or "entity", "score", "word", "start", "end"}` in the text's order.

    The forward pass is ours and batched; joining tokens to entities is left to transformers' pipeline.
    """

    auto_class = AutoModelForTokenClassification

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        if not self._tokenizer.is_fast:
            raise ModelLoadError("token classification needs a fast tokenizer (tokenizer.json) for places in the text")
        self._pipeline = TokenClassificationPipeline(model=self.model, tokenizer=self._tokenizer)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        logits = self.model(**self._pad(items)).logits.float().cpu()  # (batch, tokens, labels)
        return [row[: item.length] for row, item in zip(logits, items, strict=True)]

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        places = self._tokenizer(
            item.text,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
            **tokenization.truncation(self.spec, self._tokenizer, item.options["truncation"]),
        )
        outputs = {
            "logits": output.unsqueeze(0),
            "sentence": item.text,
            "input_ids": places["input_ids"],
            "offset_mapping": places["offset_mapping"],
            "special_tokens_mask": places["special_tokens_mask"],
        }
        strategy = AggregationStrategy(item.options["aggregation_strategy"])
        return plain(self._pipeline.postprocess([outputs], aggregation_strategy=strategy))


HANDLER = TokenClassification
