"""Decodes images by our own hand: bytes only, two formats, and a limit on pixels before they are unpacked."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image, UnidentifiedImageError

from models.errors import InvalidInput
from models.spec import ModelSpec

Image.MAX_IMAGE_PIXELS = None  # Pillow's own guard warns where the spec's limit refuses


def decode(spec: ModelSpec, value: str) -> Any:
    """An RGB image from base64. Raises InvalidInput for what is none, is too large, or is cut off."""
    data = base64.b64decode(value)
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        pixels = image.width * image.height
        if pixels > spec.max_pixels:
            raise InvalidInput.too_large("inputs", pixels, spec.max_pixels, "pixels")
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput.because("inputs", f"is no image that can be decoded: {error}") from error


def sample() -> str:
    """A small image for warming up, as base64."""
    buffer = io.BytesIO()
    Image.effect_mandelbrot((256, 256), (-3, -2.5, 2, 2.5), 20).convert("RGB").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
