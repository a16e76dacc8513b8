"""What is known about each pipeline task before any model is loaded: inputs, options, batch defaults.

A kind is a task of transformers' pipelines that this project serves. Everything here is data, so that senders
check requests by it and the batching policy reads it, both without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from celery_inference.specs.options import Option

Media = Literal["text", "chat", "image", "audio", "video", "fields"]


@dataclass(frozen=True, slots=True)
class PipelineTask:
    """One pipeline task: `handler` is the module in `models.handlers` that runs it.

    `fields`, for inputs of several parts, which those of media "text" may have: each part's name and what it is, as
    `celery_inference.inputs.fields` checks it; a name with a question mark may be left out; with `chats`, a chat whose
    messages hold images will do too. `needs` names the packages without which the task cannot be served, beyond those
    of the extra "worker". `batches_held` is how many batches a device wants waiting so that lengths can be matched:
    many where a batch takes milliseconds, few where it takes seconds.
    """

    task: str
    media: Media
    handler: str
    options: Mapping[str, Option] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    chats: bool = False
    needs: tuple[str, ...] = ()
    batch_size: int = 16
    batch_tokens: int = 8192
    batches_held: int = 8
    max_tokens: int = 512


# Without a default: what the model's folder says in generation_config.json, else what changes nothing.
_WITHOUT_SAMPLING = ("do_sample", False)
_GENERATION = {
    "max_new_tokens": Option("int", default=64, minimum=1, maximum=512, shapes_batch=True),
    "do_sample": Option("bool", default=False, shapes_batch=True),
    "temperature": Option("float", minimum=0.01, maximum=2.0, shapes_batch=True, unused_with=_WITHOUT_SAMPLING),
    "top_p": Option("float", minimum=0.01, maximum=1.0, shapes_batch=True, unused_with=_WITHOUT_SAMPLING),
    "top_k": Option("int", minimum=1, maximum=1000, shapes_batch=True, unused_with=_WITHOUT_SAMPLING),
    "num_beams": Option("int", minimum=1, maximum=8, shapes_batch=True),
    "repetition_penalty": Option("float", minimum=0.5, maximum=2.0, shapes_batch=True),
    "seed": Option("int", minimum=0, maximum=2**31 - 1, shapes_batch=True, unused_with=_WITHOUT_SAMPLING),
}
# Cuts a text that has more tokens than the model takes; without it such a text is refused.
_TRUNCATION = {"truncation": Option("bool", default=False)}
_TOP_K = Option("int", default=5, minimum=1, maximum=1000)
_THRESHOLD = Option("float", default=0.5, minimum=0, maximum=1)
_SEMANTIC = ("subtask", "semantic")  # each pixel has its likeliest label, whatever its score
_SHORT_TEXT = Option("int", default=64, minimum=1, maximum=512, shapes_batch=True)


def _zero_shot(template: str) -> dict[str, Option]:
    return {
        "candidate_labels": Option("strings", required=True, minimum=1, maximum=64),
        "hypothesis_template": Option("template", default=template, maximum=200),
    }


def _general(task: str, media: Media, **known: Any) -> PipelineTask:
    """A kind whose inputs run one at a time: large batches would only make others wait."""
    return PipelineTask(task, media, "pipeline", **{"batch_size": 4, "batches_held": 4, **known})


_AGGREGATION = Option("str", default="simple", choices=("none", "simple", "first", "average", "max"))
_TEXT = (
    PipelineTask("feature-extraction", "text", "feature_extraction", _TRUNCATION),
    PipelineTask(
        "text-classification",
        "text",
        "text_classification",
        {"top_k": replace(_TOP_K, default=1), **_TRUNCATION},
        fields={"text": "text", "text_pair": "text"},
    ),
    PipelineTask(
        "token-classification",
        "text",
        "token_classification",
        {"aggregation_strategy": _AGGREGATION, **_TRUNCATION},
    ),
    PipelineTask(
        "zero-shot-classification",
        "text",
        "zero_shot_classification",
        {**_zero_shot("This example is {}."), "multi_label": Option("bool", default=False), **_TRUNCATION},
    ),
    _general("fill-mask", "text", options={"top_k": replace(_TOP_K, maximum=100), **_TRUNCATION}, batch_size=16),
    PipelineTask(
        "text-generation",
        "chat",
        "text_generation",
        {**_GENERATION, **_TRUNCATION},
        batch_size=8,
        batches_held=2,
        max_tokens=1024,
    ),
    _general(
        "text-to-audio",
        "text",
        options={"seed": Option("int", minimum=0, maximum=2**31 - 1)},
        max_tokens=256,
    ),
    _general(
        "table-question-answering",
        "fields",
        options=_TRUNCATION,
        fields={"table": "table", "query": "text"},
        needs=("pandas",),
    ),
    _general("decision", "fields", fields={"state": "json", "questions": "json"}, max_tokens=1024),
)
_IMAGES = (
    PipelineTask("image-classification", "image", "image_classification", {"top_k": _TOP_K}),
    _general("image-feature-extraction", "image"),
    _general(
        "image-segmentation",
        "image",
        options={
            "subtask": Option("str", choices=("panoptic", "instance", "semantic")),
            "threshold": replace(_THRESHOLD, default=0.9, unused_with=_SEMANTIC),
            "mask_threshold": replace(_THRESHOLD, unused_with=_SEMANTIC),
            "overlap_mask_area_threshold": replace(_THRESHOLD, unused_with=_SEMANTIC),
        },
    ),
    _general("object-detection", "image", options={"threshold": _THRESHOLD}),
    _general("depth-estimation", "image"),
    _general("zero-shot-image-classification", "image", options=_zero_shot("This is a photo of {}.")),
    _general(
        "zero-shot-object-detection",
        "image",
        options={
            "candidate_labels": Option("strings", required=True, minimum=1, maximum=64),
            "threshold": replace(_THRESHOLD, default=0.1),
            "top_k": replace(_TOP_K, default=100),
        },
    ),
    _general(
        "keypoint-matching",
        "fields",
        options={"threshold": replace(_THRESHOLD, default=0.0)},
        fields={"image": "image", "other_image": "image"},
    ),
    _general(
        "document-question-answering",
        "fields",
        options={
            "top_k": replace(_TOP_K, default=1, maximum=20),
            "max_answer_len": Option("int", default=15, minimum=1, maximum=100),
            "handle_impossible_answer": Option("bool", default=False),
        },
        fields={"image": "image", "question": "text", "word_boxes?": "word_boxes"},
    ),
    _general(
        "image-text-to-text",
        "fields",
        options={"max_new_tokens": _SHORT_TEXT},
        fields={"image": "image", "text": "text"},
        max_tokens=1024,
        chats=True,
    ),
)
_SOUND_AND_VIDEO = (
    PipelineTask(
        "automatic-speech-recognition",
        "audio",
        "speech_recognition",
        {
            "return_timestamps": Option("str", choices=("char", "word", "segment"), shapes_batch=True),
            "language": Option("str", minimum=2, maximum=30, shapes_batch=True),
            "task": Option("str", choices=("transcribe", "translate"), shapes_batch=True),
            "max_new_tokens": Option("int", minimum=1, maximum=448, shapes_batch=True),
        },
        batch_size=8,
        batches_held=2,
    ),
    _general("audio-classification", "audio", options={"top_k": _TOP_K}),
    _general("zero-shot-audio-classification", "audio", options=_zero_shot("This is a sound of {}.")),
    _general(
        "video-classification",
        "video",
        options={"top_k": _TOP_K, "frame_sampling_rate": Option("int", default=1, minimum=1, maximum=60)},
        needs=("av",),
    ),
)

PIPELINE_TASKS: Mapping[str, PipelineTask] = {
    pipeline_task.task: pipeline_task for pipeline_task in _TEXT + _IMAGES + _SOUND_AND_VIDEO
}

# The other tasks of transformers' pipelines, and why a catalogue cannot name them.
NOT_SERVED: Mapping[str, str] = {
    "mask-generation": "its pipeline needs torchvision (for batched_nms), which this project does not depend on: "
    "torchvision's builds fit one build of torch each",
    "any-to-any": "its pipeline needs torchvision and torchcodec, which this project does not depend on; "
    "image-text-to-text and automatic-speech-recognition are served",
}
