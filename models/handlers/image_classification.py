"""image-classification: an image's most likely labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForImageClassification

from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import from_pretrained
from models.handlers.common.label_scores import best, probabilities
from models.media import images


class ImageClassification(Handler):
    """Result: the `top_k` best of `{"label", "score"}`, best first."""

    example = images.sample()

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._processor = from_pretrained.image_processor(spec)
        self.model = from_pretrained.model(spec, AutoModelForImageClassification, device)

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        image = images.decode("inputs", value, self.spec.max_pixels)
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return Prepared(row, pixels, 1, options)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        pixels = torch.stack([item.value for item in items])  # (batch, channels, height, width)
        logits = self.model(pixel_values=pixels.to(self.device, self.model.dtype)).logits
        return list(probabilities(self.model.config, logits))

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return best(self.model.config, output, item.options["top_k"])


HANDLER = ImageClassification
