"""Results of pipelines as JSON values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.media import images


def plain(value: Any) -> Any:
    """numpy's and torch's numbers and arrays as Python's, images as base64, at any depth.

    Raises TypeError for what is no JSON, ValueError for a number that is none.
    """
    if isinstance(value, (np.generic, np.ndarray, torch.Tensor)):
        return plain(value.tolist())
    if isinstance(value, Image.Image):
        return images.encode(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} in a result is no JSON number")
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"a {type(value).__name__} in a result is no JSON value")
