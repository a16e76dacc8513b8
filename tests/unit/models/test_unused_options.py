"""What a model has no use for is known when it is loaded, and refused when a caller or the catalogue sets it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import MaskFormerImageProcessorPil, SegformerImageProcessorPil, ViTImageProcessorPil

from celery_inference.specs.errors import InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.device_process.warmup import refuse_unused_defaults
from models.handlers.common.pipeline_calls import call, unused_options
from models.handlers.pipeline import PipelineHandler


def spec(task: str) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="/one", options=PIPELINE_TASKS[task].options)


def pipe(model_type: str, image_processor: Any = None) -> Any:
    return SimpleNamespace(
        model=SimpleNamespace(config=SimpleNamespace(model_type=model_type)), image_processor=image_processor
    )


SEGMENTS = spec("image-segmentation")
DOCUMENTS = spec("document-question-answering")
THRESHOLDS = {"threshold", "mask_threshold", "overlap_mask_area_threshold"}


@pytest.mark.parametrize(
    ("one", "other", "unused"),
    [
        (SEGMENTS, pipe("segformer", SegformerImageProcessorPil()), THRESHOLDS),
        (SEGMENTS, pipe("maskformer", MaskFormerImageProcessorPil()), set()),
        (DOCUMENTS, pipe("vision-encoder-decoder"), set(DOCUMENTS.options)),
        (DOCUMENTS, pipe("layoutlm"), set()),
        (spec("image-classification"), pipe("vit", ViTImageProcessorPil()), set()),
    ],
    ids=lambda value: getattr(value, "task", None),
)
def test_it_is_known_by_what_the_pipeline_would_do(one: ModelSpec, other: Any, unused: set[str]) -> None:
    assert unused_options(one, other) == unused


def test_words_for_a_model_that_reads_the_image_are_refused() -> None:
    with pytest.raises(InvalidInput, match="inputs has word_boxes, which mean nothing to this model"):
        call(pipe("vision-encoder-decoder"), DOCUMENTS, {"image": None, "question": "who", "word_boxes": []}, {})


def test_a_default_of_the_catalogue_that_the_model_cannot_use_ends_its_loading() -> None:
    threshold = replace(SEGMENTS.options["threshold"], default=0.2)
    handler = PipelineHandler.__new__(PipelineHandler)
    handler.unused_options = frozenset(THRESHOLDS)
    handler.device = torch.device("cpu")
    handler.spec = SEGMENTS
    refuse_unused_defaults(handler)
    handler.spec = replace(SEGMENTS, options={**SEGMENTS.options, "threshold": threshold})
    with pytest.raises(ModelLoadError, match="the catalogue's default: option threshold means nothing to this model"):
        refuse_unused_defaults(handler)
