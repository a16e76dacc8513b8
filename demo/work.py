"""What the demo asks for: texts to embed, prompts to answer, photographs to name."""

import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from celery.result import AsyncResult
from PIL import Image

from celery_inference import feature_extraction, image_classification, text_generation

HERE = Path(__file__).resolve().parent
IMAGES = 36
SIDE_PIXELS = 288


@dataclass(slots=True)
class Sent:
    """One request of the demo. `sent_at` is in seconds of the epoch, as results' times are."""

    kind: str
    label: str
    result: AsyncResult
    sent_at: float

    @property
    def latency_seconds(self) -> float:
        """From the moment before `delay()` to the stored result."""
        done: datetime = self.result.date_done
        return done.timestamp() - self.sent_at


def lines(name: str) -> list[str]:
    """The lines of a text file beside this one."""
    return (HERE / name).read_text(encoding="utf-8").splitlines()


def photographs() -> Iterator[tuple[str, bytes]]:
    """Views of the shipped photographs, each a PNG or JPEG file's bytes, the same at every run."""
    chance = random.Random(7)  # noqa: S311 - repeatable crops, no secret
    originals = [(path.stem, Image.open(path).convert("RGB")) for path in sorted(HERE.glob("images/*.jpg"))]
    for number in range(IMAGES):
        name, picture = originals[number % len(originals)]
        left = chance.randint(picture.width // 6, picture.width - SIDE_PIXELS - picture.width // 8)
        top = chance.randint(0, picture.height - SIDE_PIXELS)
        view = picture.crop((left, top, left + SIDE_PIXELS, top + SIDE_PIXELS))
        file = io.BytesIO()
        view.save(file, "JPEG", quality=85)
        yield name, file.getvalue()


def send_all() -> Iterator[Sent]:
    """Send every request, one `delay()` each, the kinds mixed as traffic is."""
    calls: list[tuple[str, str, Any, Any, dict[str, Any]]] = []
    calls += [("text_generation", p, text_generation, p, {"max_new_tokens": 24}) for p in lines("prompts.txt")]
    calls += [("image_classification", name, image_classification, data, {}) for name, data in photographs()]
    calls += [("feature_extraction", text, feature_extraction, text, {}) for text in lines("texts.txt")]
    random.Random(11).shuffle(calls)  # noqa: S311 - a repeatable mix, no secret
    for kind, label, task, inputs, options in calls:
        sent_at = time.time()
        yield Sent(kind, label, task.delay(inputs, **options), sent_at)


def measure_alone(count: int = 20) -> list[float]:
    """Seconds from before `delay()` to the result in hand, for each of `count` embeddings sent one after the other."""
    seconds = []
    for text in lines("texts.txt")[:count]:
        begun = time.perf_counter()
        feature_extraction.delay(text).get(timeout=60, interval=0.005)
        seconds.append(time.perf_counter() - begun)
    return seconds
