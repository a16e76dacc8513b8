"""Queued machine-learning inference: `feature_extraction.delay("…").get()`.

What applications use stands here; everything else is for workers, Flower and operators. Importing this is light: no
model library is loaded, no server is asked, and Celery itself is imported with the first task that is named.
"""

from importlib import import_module
from typing import Any

_TASKS = (
    "audio_classification",
    "automatic_speech_recognition",
    "decision",
    "depth_estimation",
    "document_question_answering",
    "feature_extraction",
    "fill_mask",
    "image_classification",
    "image_feature_extraction",
    "image_segmentation",
    "image_text_to_text",
    "infer",
    "keypoint_matching",
    "object_detection",
    "table_question_answering",
    "text_classification",
    "text_generation",
    "text_to_audio",
    "token_classification",
    "video_classification",
    "zero_shot_audio_classification",
    "zero_shot_classification",
    "zero_shot_image_classification",
    "zero_shot_object_detection",
)
_HOME = {
    **dict.fromkeys(_TASKS, "celery_inference.client.inference_tasks"),
    "app": "celery_inference.client.app",
    "configure": "celery_inference.settings",
    "delete_upload": "celery_inference.client.uploads",
    "provenance": "celery_inference.client.async_results.provenance",
    "results_and_errors": "celery_inference.client.async_results.row_errors",
    "upload": "celery_inference.client.uploads",
}

__all__ = [*_HOME, "errors"]  # noqa: PLE0604 - names of __init__.pyi


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("celery_inference.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'celery_inference' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
