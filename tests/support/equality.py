"""What the pipelines of transformers answer to one input alone, and whether an answer is the same."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

TOLERANCE = 1e-5  # absolute, and relative to the number


def same(one: Any, other: Any, tolerance: float = TOLERANCE) -> None:
    """Equal, but for numbers, sound and pictures, which may differ by rounding."""
    assert type(one) is type(other), (one, other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            compare = {"wav": _same_sound, "png": _same_picture}.get(key)
            if compare is not None:
                compare(one[key], other[key])
            else:
                same(one[key], other[key], tolerance)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for item, counterpart in zip(one, other, strict=True):
            same(item, counterpart, tolerance)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance), (one, other)
    else:
        assert one == other


def _same_sound(one: str, other: str) -> None:
    """Within what rounding moves: some of the 32,768 steps of a sample."""
    np.testing.assert_allclose(samples(one), samples(other), atol=1e-3)


def _same_picture(one: str, other: str) -> None:
    """Within one of 256 shades."""
    np.testing.assert_allclose(np.asarray(picture(one), int), np.asarray(picture(other), int), atol=1)


def picture(value: str) -> Image.Image:
    """The image in a base64 text."""
    return Image.open(io.BytesIO(base64.b64decode(value)))


def samples(value: str) -> Any:
    """The samples of the 16 kHz recording in a base64 text: (samples,) float32."""
    return soundfile.read(io.BytesIO(base64.b64decode(value)), dtype="float32")[0]


def frames(value: str, count: int) -> Any:
    """The first frames of the video in a base64 text: (frames, height, width, 3) uint8."""
    import av

    with av.open(io.BytesIO(base64.b64decode(value))) as container:
        decoded: Any = container.decode(video=0)
        return np.stack([frame.to_ndarray(format="rgb24") for frame, _ in zip(decoded, range(count), strict=False)])


def as_json(value: Any) -> Any:
    """A pipeline's answer as the project gives it: Python's numbers, lists for tuples, images as PNG."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Image.Image):
        data = io.BytesIO()
        value.save(data, "PNG")
        return {"png": base64.b64encode(data.getvalue()).decode(), "width": value.width, "height": value.height}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def oracle(task: str, folder: Path) -> Any:
    """transformers' pipeline, on the CPU, with the image processor that needs no torchvision."""
    from transformers import AutoImageProcessor, pipeline

    sees = "image" in task or "object" in task or task in ("depth-estimation", "video-classification")
    sees = sees and task != "image-text-to-text"
    extras = {"image_processor": AutoImageProcessor.from_pretrained(folder, backend="pil")} if sees else {}
    return pipeline(task, model=str(folder), device="cpu", **extras)


def ask(pipe: Any, task: str, value: Any, options: dict[str, Any]) -> Any:
    """The pipeline's answer to one input alone, then the spec's pooling (the mean); as JSON values."""
    special = _ASKING.get(task)
    answer = special(pipe, value, options) if special else pipe(_media(task, value), **options)
    return as_json(answer)


def _media(task: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if "image" in task or "object" in task or "depth" in task:
        return picture(value)
    return samples(value) if "audio" in task or "speech" in task else value


def _features(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    return np.array(pipe(value)[0]).mean(0)


def _image_features(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    return np.array(pipe(picture(value))[0]).mean(0)


def _generate(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    return pipe(value, return_full_text=False, do_sample=False, **options)


def _tokens(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    return pipe(value, **{"aggregation_strategy": "simple", **options})


def _speech(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    stamps = options.get("return_timestamps")
    return pipe(samples(value), **{**options, "return_timestamps": True if stamps == "segment" else stamps})


def _speak(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    import torch

    torch.manual_seed(options["seed"])
    sound = pipe(value)
    data = io.BytesIO()
    soundfile.write(data, np.clip(sound["audio"], -1, 1), sound["sampling_rate"], format="WAV", subtype="PCM_16")
    seconds = round(len(sound["audio"]) / sound["sampling_rate"], 3)
    return {
        "wav": base64.b64encode(data.getvalue()).decode(),
        "sampling_rate": sound["sampling_rate"],
        "seconds": seconds,
    }


def _depth(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    answer = pipe(picture(value))
    depth = answer["predicted_depth"]
    return {"depth": answer["depth"], "minimum": depth.min(), "maximum": depth.max()}


def _keypoints(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    return pipe([picture(value["image"]), picture(value["other_image"])], **options)


def _document(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    words = [tuple(word) for word in value["word_boxes"]]
    return pipe(image=picture(value["image"]), question=value["question"], word_boxes=words, **options)


def _describe(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    how = {"return_full_text": False, "generate_kwargs": {"do_sample": False}, **options}
    answers = pipe(images=picture(value["image"]), text=value["text"], **how)
    return [{"generated_text": answer["generated_text"]} for answer in answers]


def _video(pipe: Any, value: Any, options: dict[str, Any]) -> Any:
    inputs = pipe.image_processor(list(frames(value, pipe.model.config.num_frames)), return_tensors="pt")
    return pipe.postprocess(pipe.forward(inputs), **options)


_ASKING: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "automatic-speech-recognition": _speech,
    "depth-estimation": _depth,
    "document-question-answering": _document,
    "feature-extraction": _features,
    "image-feature-extraction": _image_features,
    "image-text-to-text": _describe,
    "keypoint-matching": _keypoints,
    "text-generation": _generate,
    "text-to-audio": _speak,
    "token-classification": _tokens,
    "video-classification": _video,
}
