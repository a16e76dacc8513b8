"""How each pipeline is called, and what of its answer leaves, where that is not simply input, options and answer.

Every medium among the arguments has been decoded: pixels, samples and frames, never a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.common import from_pretrained, pooling, tokenization
from models.media import audio

_SIGLIP_TOKENS = 64  # to which its pipeline cuts labels

Call = Callable[[Any, ModelSpec, Any, dict[str, Any]], Any]


def call(pipe: Any, spec: ModelSpec, value: Any, options: Mapping[str, Any]) -> Any:
    """The pipeline's answer to one input alone; images and numbers in it are not JSON yet."""
    given = {name: option for name, option in options.items() if option is not None}
    return _CALLS.get(spec.task, _plainly)(pipe, spec, value, given)


def unused_options(spec: ModelSpec, pipe: Any) -> frozenset[str]:
    """Options of the task that this model's pipeline would take and not use."""
    if spec.task == "document-question-answering" and _writes(pipe):
        return frozenset({"top_k", "max_answer_len", "handle_impossible_answer"})
    if spec.task == "image-segmentation" and _subtasks(pipe) == ["semantic"]:
        return frozenset({"threshold", "mask_threshold", "overlap_mask_area_threshold"})
    return frozenset()


def _writes(pipe: Any) -> bool:
    """Whether a model of documents writes its one answer from the pixels."""
    return bool(pipe.model.config.model_type == "vision-encoder-decoder")


def _subtasks(pipe: Any) -> list[str]:
    known = ("panoptic", "instance", "semantic")
    return [name for name in known if hasattr(pipe.image_processor, f"post_process_{name}_segmentation")]


def _plainly(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    return pipe(value, **options)


def _fill(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    cut = tokenization.truncation(spec, pipe.tokenizer, options.pop("truncation"))
    return pipe(value, tokenizer_kwargs=cut, **options)


def _image_features(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    states = pipe(value, return_tensors=True)[0].float().cpu()
    if states.ndim > 2:  # a convolutional model's (channels, height, width): each place is a token
        states = states.flatten(1).T
    return pooling.as_json(pooling.pool(spec, states))


def _depth(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    answer = pipe(value)
    depth = answer["predicted_depth"]
    return {"depth": answer["depth"], "minimum": depth.min().item(), "maximum": depth.max().item()}


def _segments(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    known = _subtasks(pipe)
    if options.get("subtask", known[0]) not in known:
        raise InvalidInput.because("option subtask", f"of this model is {' or '.join(known)}", allowed=known)
    return pipe(value, **options)


def _labelled(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    """A label that is too long would be cut by SigLIP's pipeline, and is no index of a position elsewhere."""
    most = _SIGLIP_TOKENS if "siglip" in pipe.model.config.model_type else from_pretrained.label_positions(pipe.model)
    template = options.get("hypothesis_template", "{}")
    for label in options["candidate_labels"]:
        size = len(pipe.tokenizer(template.replace("{}", label), verbose=False)["input_ids"])
        if most is not None and size > most:
            raise InvalidInput.too_large("option candidate_labels", size, most, "tokens in a label")
    return pipe(value, **options)


def _keypoints(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    return pipe((value["image"], value["other_image"]), **options)


def _document(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    if _writes(pipe):
        if "word_boxes" in value:
            raise InvalidInput.because("inputs", "has word_boxes, which mean nothing to this model: it reads the image")
        return pipe(value)
    if "word_boxes" not in value:
        raise InvalidInput.because("inputs", "must have word_boxes for this model: no text is recognized in the image")
    return pipe(value, max_seq_len=min(spec.max_tokens, pipe.tokenizer.model_max_length), **options)


def _image_text(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    if isinstance(value, dict) and getattr(pipe.processor, "chat_template", None):
        parts = [{"type": "image", "image": value["image"]}, {"type": "text", "text": value["text"]}]
        value = [{"role": "user", "content": parts}]
    elif isinstance(value, list) and not getattr(pipe.processor, "chat_template", None):
        raise InvalidInput.because("inputs", "is a chat, and this model has no chat template; give image and text")
    arguments = {"images": value["image"], "text": value["text"]} if isinstance(value, dict) else {"text": value}
    answers = pipe(**arguments, return_full_text=False, generate_kwargs={"do_sample": False}, **options)
    return [{"generated_text": answer["generated_text"]} for answer in answers]


def _speak(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    if "seed" in options:
        torch.manual_seed(options["seed"])
    answer = pipe(value)
    return audio.encode(answer["audio"], answer["sampling_rate"])


def _table(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    """Unasked, the pipeline drops the rows that do not fit, and answers from the first ones."""
    (question,) = pipe._args_parser(table=value["table"], query=value["query"])
    try:
        inputs = pipe.preprocess(question, truncation=options["truncation"])
    except ValueError as error:
        if not str(error).startswith("Too many "):  # rows or columns, for the tokenizer's numbers of them
            raise
        raise InvalidInput.because("inputs table", f"has {str(error).lower()} for this model") from None
    size, most = inputs["input_ids"].shape[-1], min(spec.max_tokens, pipe.tokenizer.model_max_length)
    if size > most:
        raise InvalidInput.too_large("inputs", size, most, "tokens")
    return pipe.postprocess(pipe.forward(inputs))


def _video(pipe: Any, spec: ModelSpec, value: Any, options: dict[str, Any]) -> Any:
    # The pipeline's own first step opens what it is given, so that only the other two run.
    if pipe.video_processor is None:
        inputs = pipe.image_processor(list(value), return_tensors="pt")
    else:
        inputs = pipe.video_processor(value, do_sample_frames=False, return_tensors="pt")
    return pipe.postprocess(pipe.forward(inputs.to(pipe.dtype)), top_k=options["top_k"])


_CALLS: Mapping[str, Call] = {
    "depth-estimation": _depth,
    "document-question-answering": _document,
    "fill-mask": _fill,
    "image-feature-extraction": _image_features,
    "image-segmentation": _segments,
    "image-text-to-text": _image_text,
    "keypoint-matching": _keypoints,
    "table-question-answering": _table,
    "text-to-audio": _speak,
    "video-classification": _video,
    "zero-shot-audio-classification": _labelled,
    "zero-shot-image-classification": _labelled,
    "zero-shot-object-detection": _labelled,
}
