"""The inference tasks: `from tasks import feature_extraction; feature_extraction.delay("…").get()`.

Importing this is light: no model library is loaded, and no server is asked.
"""

from tasks.celery import app
from tasks.inference import (
    audio_classification,
    automatic_speech_recognition,
    decision,
    depth_estimation,
    document_question_answering,
    feature_extraction,
    fill_mask,
    image_classification,
    image_feature_extraction,
    image_segmentation,
    image_text_to_text,
    infer,
    keypoint_matching,
    object_detection,
    table_question_answering,
    text_classification,
    text_generation,
    text_to_audio,
    token_classification,
    video_classification,
    zero_shot_audio_classification,
    zero_shot_classification,
    zero_shot_image_classification,
    zero_shot_object_detection,
)
from tasks.keeping import forget, keep
from tasks.made_with import made_with

__all__ = [
    "app",
    "audio_classification",
    "automatic_speech_recognition",
    "decision",
    "depth_estimation",
    "document_question_answering",
    "feature_extraction",
    "fill_mask",
    "forget",
    "image_classification",
    "image_feature_extraction",
    "image_segmentation",
    "image_text_to_text",
    "infer",
    "keep",
    "keypoint_matching",
    "made_with",
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
]
