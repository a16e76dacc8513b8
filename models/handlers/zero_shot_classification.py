"""zero-shot-classification: which of the caller's labels fits a text, by a model of entailment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import from_pretrained, tokenization
from models.scheduling.batching import Limits, split


class ZeroShotClassification(Handler):
    """Result: `{"sequence", "labels", "scores"}`, best first. A row is as many forward rows as it has labels."""

    example_options: Mapping[str, Any] = MappingProxyType({"candidate_labels": ["animals", "weather"]})
    lengths = ("dog", Handler.example)

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = from_pretrained.tokenizer(spec)
        self.model = from_pretrained.model(spec, AutoModelForSequenceClassification, device)
        self._padding = tokenization.Padding(self.model, self._tokenizer)
        ids = {label.lower(): number for label, number in self.model.config.label2id.items()}
        entails = next((number for label, number in ids.items() if label.startswith("entail")), None)
        if entails is None:
            raise ModelLoadError(f'none of the labels {", ".join(ids)} begins with "entail": no model for zero-shot')
        self._entails = entails
        self._contradicts = next(
            (number for label, number in ids.items() if label.startswith("contra")), -1 if entails == 0 else 0
        )

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        template = options["hypothesis_template"]
        cut = "only_first" if options["truncation"] else False  # a label is never cut
        pairs = [
            tokenization.encode(self.spec, self._tokenizer, value, template.replace("{}", label), cut=cut)
            for label in options["candidate_labels"]
        ]
        longest = max(len(pair["input_ids"]) for pair in pairs)
        return Prepared(row, pairs, longest * len(pairs), options, value)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        pairs = [pair for item in items for pair in item.value]
        logits = torch.empty(len(pairs), self.model.config.num_labels)
        limits = Limits(1 if self.equal_lengths else self.spec.batch_size, self.spec.batch_tokens, 0)
        for part in split([len(pair["input_ids"]) for pair in pairs], limits):
            batch = self._padding.tensors([pairs[i] for i in part], self.device)
            logits[part] = self.model(**batch).logits.float().cpu()
        return torch.split(logits, [len(item.value) for item in items])

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        if item.options["multi_label"] or len(output) == 1:
            scores = output[:, [self._contradicts, self._entails]].softmax(-1)[:, 1]
        else:
            scores = output[:, self._entails].softmax(-1)
        order = scores.argsort(descending=True, stable=True).tolist()
        labels = item.options["candidate_labels"]
        return {
            "sequence": item.text,
            "labels": [labels[i] for i in order],
            "scores": [scores[i].item() for i in order],
        }


HANDLER = ZeroShotClassification
