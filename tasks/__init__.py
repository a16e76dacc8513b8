"""The inference tasks: `from tasks import feature_extraction; feature_extraction.delay("…").get()`.

Importing this is light: no model library is loaded, and no server is asked.
"""

from tasks.celery import app
from tasks.inference import (
    feature_extraction,
    fill_mask,
    image_classification,
    infer,
    text_classification,
    text_generation,
    token_classification,
    zero_shot_classification,
)

__all__ = [
    "app",
    "feature_extraction",
    "fill_mask",
    "image_classification",
    "infer",
    "text_classification",
    "text_generation",
    "token_classification",
    "zero_shot_classification",
]
