"""Inputs for every kind of model: several of each, unlike each other, as a sender's check leaves them."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

from PIL import Image

from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from tests.support.tiny_models import TEXTS, WORDS

LABELS: dict[str, Any] = {"candidate_labels": ["cat", "red house", "train"]}
OPTIONS: dict[str, dict[str, Any]] = {
    "text-classification": {"top_k": 3},
    "zero-shot-classification": LABELS,
    "zero-shot-image-classification": LABELS,
    "zero-shot-audio-classification": LABELS,
    "zero-shot-object-detection": {**LABELS, "threshold": 0.0, "top_k": 5},
    "object-detection": {"threshold": 0.1},
    "fill-mask": {"top_k": 3},
    "text-generation": {"max_new_tokens": 12},
    "image-text-to-text": {"max_new_tokens": 8},
    "image-classification": {"top_k": 4},
    "audio-classification": {"top_k": 4},
    "video-classification": {"top_k": 4},
    "keypoint-matching": {"threshold": 0.0},
    "text-to-audio": {"seed": 3},
    "document-question-answering": {"top_k": 2},
}


def photograph(seed: int) -> str:
    """Noise of some size between 33 and 90 pixels, as base64 of a PNG."""
    pixels = random.Random(seed)
    size = pixels.randint(33, 90), pixels.randint(33, 90)
    image = Image.frombytes("RGB", size, pixels.randbytes(size[0] * size[1] * 3))
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def recording(seed: int) -> str:
    """Between 0.2 and 1.5 seconds of noise and a tone, as base64 of a 16 kHz WAV."""
    import numpy as np

    from models.media import audio

    noise = np.random.default_rng(seed)
    time = np.arange(int(16_000 * noise.uniform(0.2, 1.5))) / 16_000
    wave = 0.3 * np.sin(time * noise.uniform(500, 5000)) + 0.05 * noise.standard_normal(len(time))
    return str(audio.encode(wave, 16_000)["wav"])


def film(seed: int) -> str:
    """Some frames of a growing brightness, as base64 of an MP4."""
    from models.media import video

    return video.sample(frames=6 + seed, size=32 + 16 * (seed % 3))


def value(task: str, seed: int) -> Any:
    """An input for a model of that kind; another one for another seed."""
    text = TEXTS[seed % len(TEXTS)]
    if task in _VALUES:
        return _VALUES[task](seed, text)
    return {"image": photograph, "audio": recording, "text": lambda _: text, "chat": lambda _: text}[
        PIPELINE_TASKS[task].media
    ](seed)


def _decide(seed: int, text: str) -> dict[str, Any]:
    choice = {"type": "choice", "instructions": text[:40], "criteria": {"cat": None, "dog": "a dog", "sun": None}}
    return {"state": {"said": text[:60], "times": seed}, "questions": {"which": choice, "true": {"type": "noul"}}}


_VALUES: dict[str, Any] = {
    "decision": _decide,
    "document-question-answering": lambda seed, text: {
        "image": photograph(seed),
        "question": "the cat",
        "word_boxes": [[word, [10 * i, 20, 10 * i + 8, 40]] for i, word in enumerate(text.split())],
    },
    "fill-mask": lambda _, text: f"{text} [MASK]",
    "image-text-to-text": lambda seed, text: {"image": photograph(seed), "text": f"<image> {text}"},
    "keypoint-matching": lambda seed, _: {"image": photograph(seed), "other_image": photograph(seed + 1)},
    "table-question-answering": lambda seed, _: {
        "table": {"animal": ["cat", "dog", "fish"], "number": [str(seed), "7", "25"]},
        "query": f"{WORDS[seed]} number",
    },
    "text-to-audio": lambda _, text: text[:40],
    "video-classification": lambda seed, _: film(seed),
}
