"""The tasks without a handler of their own, through `transformers.pipeline`, one input at a time.

Batches of arbitrary pipelines leak padding into results (plain feature extraction returns padding rows), so none are
formed here: a task gets batches when it gets a handler of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from celery_inference.specs.errors import InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import examples, finite, from_pretrained, tokenization
from models.handlers.common.json_values import plain
from models.handlers.common.pipeline_calls import call, unused_options
from models.media import audio, images


class PipelineHandler(Handler):
    """Result: the pipeline's own, as JSON values; images and sound in it as base64 with their sizes."""

    one_thread = True  # the pipeline tokenizes in its forward pass

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        for package in spec.pipeline_task.needs:
            if find_spec(package) is None:
                raise ModelLoadError(f'{spec.task} needs the package "{package}", which is not installed')
        self._pipeline = from_pretrained.pipe(spec, device)
        self.model = self._pipeline.model
        finite.watch(self.model)
        self._tokenizer = self._pipeline.tokenizer
        self.unused_options = unused_options(spec, self._pipeline)
        self.example, self.example_options = examples.of(spec, self._pipeline)

    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        words = _words(value) if self.spec.pipeline_task.media in ("text", "fields") else ""
        length = 1
        if words and self._tokenizer is not None and self.spec.task != "table-question-answering":
            cut = options.get("truncation", False)
            encoding = tokenization.encode(self.spec, self._tokenizer, words, cut=cut)
            length = len(encoding["input_ids"])
            if self.spec.task == "fill-mask" and self._tokenizer.mask_token_id not in encoding["input_ids"]:
                left = f" in the {length} tokens that are left of it" if cut else ""
                raise InvalidInput.because("inputs", f"has no {self._tokenizer.mask_token} to fill{left}")
        return Prepared(row, self._decoded(value, options), length, options, words)

    def forward(self, items: Sequence[Prepared]) -> Sequence[Any]:
        with torch.inference_mode():
            return [call(self._pipeline, self.spec, item.value, item.options) for item in items]

    def finish(self, output: Any, item: Prepared) -> Any:
        return plain(output)

    def _decoded(self, value: Any, options: dict[str, Any]) -> Any:
        """The input with every medium in it decoded."""
        spec = self.spec
        if spec.pipeline_task.media == "image":
            return images.decode("inputs", value, spec.max_pixels)
        if spec.pipeline_task.media == "audio":
            rate = self._pipeline.feature_extractor.sampling_rate
            return audio.decode("inputs", value, rate, spec.max_seconds)
        if spec.pipeline_task.media == "video":
            from models.media import video

            count, every = self._pipeline.model.config.num_frames, options["frame_sampling_rate"]
            return video.decode("inputs", value, video.Wanted(count, every, spec.max_seconds, spec.max_pixels))
        if spec.pipeline_task.media == "fields":
            return [self._message(message) for message in value] if isinstance(value, list) else self._parts(value)
        return value

    def _parts(self, value: dict[str, Any]) -> dict[str, Any]:
        fields = self.spec.pipeline_task.fields
        return {
            name: images.decode(f"inputs {name}", part, self.spec.max_pixels) if fields.get(name) == "image" else part
            for name, part in value.items()
        }

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        """A chat's message whose images are pixels; `celery_inference.inputs.chats` has seen to it that it has nothing
        else."""
        parts = [
            part | {"image": images.decode("inputs", part["image"], self.spec.max_pixels)} if "image" in part else part
            for part in message["content"]
        ]
        return {"role": message["role"], "content": parts}


def _words(value: Any) -> str:
    """The texts of an input: what the spec's faults look for, and what counts as tokens."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(part["text"] for message in value for part in message["content"] if "text" in part)
    texts = {name: part for name, part in value.items() if name not in ("image", "other_image", "word_boxes")}
    return "\n".join(part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in texts.values())


HANDLER = PipelineHandler
