"""Decodes images: bytes only, one frame, and a limit on pixels before they are unpacked."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from celery_inference.specs.errors import InvalidInput

Image.MAX_IMAGE_PIXELS = None  # Pillow's own guard warns where the spec's limit refuses

# Processors scale the shorter side to a fixed size: a line of one pixel would become millions of columns.
MAX_ASPECT = 100


def decode(field: str, value: str, max_pixels: int) -> Image.Image:
    """An upright RGB image from base64, as `transformers.image_utils.load_image` makes one.

    Of a JPEG that a camera put more pictures into (MPO) it is the first. Grey of 16 bits is scaled to 8, where Pillow
    would make everything above 255 white.

    Raises InvalidInput for what is no image, is too large or too narrow, is cut off, or is animated.
    """
    try:
        opened = Image.open(io.BytesIO(base64.b64decode(value, validate=True)), formats=("PNG", "JPEG", "WEBP"))
        _check_size(field, opened, max_pixels)
        if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":
            raise InvalidInput.because(field, "is animated; one frame is wanted", limit=1)
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            grey = np.asarray(image).astype(np.uint32) * 255 // 65_535
            image = Image.fromarray(grey.astype(np.uint8))
        return image.convert("RGB")
    except InvalidInput:
        raise
    except UnidentifiedImageError:  # which names our buffer
        raise InvalidInput.because(field, "is no image that can be decoded: it only begins like one") from None
    except Exception as error:  # hostile files make decoders raise anything: struct.error, KeyError, OverflowError
        raise InvalidInput.because(field, f"is no image that can be decoded: {error}") from error


def _check_size(field: str, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise InvalidInput.too_large(field, width * height, max_pixels, "pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InvalidInput.because(
            field, f"is {width} x {height} pixels; one side may be {MAX_ASPECT} times the other", limit=MAX_ASPECT
        )


def sample(size: int = 256) -> str:
    """A small image for warming up, as base64."""
    return str(encode(Image.effect_mandelbrot((size, size), (-3, -2.5, 2, 2.5), 20).convert("RGB"))["png"])


def encode(image: Image.Image) -> dict[str, Any]:
    """An image as JSON values: `{"png": base64, "width", "height"}`."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return {"png": base64.b64encode(buffer.getvalue()).decode("ascii"), "width": image.width, "height": image.height}
