"""What a model of each kind is tried with at loading, unless its spec names an example."""

from __future__ import annotations

from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler
from models.media import audio, images

_TABLE = {"city": ["Paris", "Rome"], "people": ["2100000", "2800000"]}
_WORDS = [["total", [100, 100, 200, 120]], ["42", [220, 100, 260, 120]]]
_QUESTION = {"type": "choice", "instructions": "What is it about?", "criteria": {"weather": None, "sport": None}}


def of(spec: ModelSpec, pipe: Any) -> tuple[Any, dict[str, Any]]:
    """An input of the spec's kind, as a sender's check leaves it, and the options without which it is none."""
    options: dict[str, Any] = (
        {"candidate_labels": ["one", "two"]} if "candidate_labels" in spec.pipeline_task.options else {}
    )
    if spec.task == "fill-mask":
        return f"The cat sat on the {pipe.tokenizer.mask_token}.", options
    if spec.pipeline_task.media == "fields":
        return _fields(spec, pipe), options
    return _by_media(spec), options


def _by_media(spec: ModelSpec) -> Any:
    if spec.pipeline_task.media == "image":
        return images.sample()
    if spec.pipeline_task.media == "audio":
        return audio.sample()
    if spec.pipeline_task.media == "video":
        from models.media import video

        return video.sample()
    return Handler.example


def _fields(spec: ModelSpec, pipe: Any) -> dict[str, Any]:
    # Without a chat template it is the caller who says where the image stands in the text.
    mark = "" if getattr(pipe.processor, "chat_template", None) else getattr(pipe.processor, "image_token", "")
    values: dict[str, dict[str, Any]] = {
        "decision": {"state": "It rains.", "questions": {"topic": _QUESTION}},
        "document-question-answering": {"image": images.sample(), "question": "What total?", "word_boxes": _WORDS},
        "image-text-to-text": {"image": images.sample(), "text": f"{mark} What is this?".strip()},
        "keypoint-matching": {"image": images.sample(), "other_image": images.sample()},
        "table-question-answering": {"table": _TABLE, "query": "How many people?"},
    }
    return values[spec.task]
