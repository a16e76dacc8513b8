"""The tasks that applications call, one for each kind of model, named after transformers' pipeline tasks.

Each takes one input or a list of inputs, `model=` a name of the catalogue (else the kind's default) and the
model's options, and answers as the pipeline of that name does: one result for one input, a list for a list.
What does not fit the model's spec raises models.errors.InvalidInput at `delay()`.
"""

from typing import Any

from tasks.celery import app
from tasks.task import InferenceTask


@app.task(bind=True, base=InferenceTask, name="tasks.feature_extraction", kind="feature-extraction")
def feature_extraction(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """Embeddings: a list of floats for each text, pooled and normalized as the model's spec says."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.fill_mask", kind="fill-mask")
def fill_mask(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """The likeliest tokens for the mask of each text."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.image_classification", kind="image-classification")
def image_classification(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """Labels with scores for each image; images are bytes of a PNG or JPEG file, or the same as base64."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.text_classification", kind="text-classification")
def text_classification(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """Labels with scores for each text."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.text_generation", kind="text-generation")
def text_generation(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """Generated text for each prompt."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.token_classification", kind="token-classification")
def token_classification(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """Labelled spans of each text."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.zero_shot_classification", kind="zero-shot-classification")
def zero_shot_classification(self: InferenceTask, inputs: Any, model: str | None = None, **options: Any) -> Any:
    """How well each of `candidate_labels` fits each text."""
    return self.answer(model, inputs, options)


@app.task(bind=True, base=InferenceTask, name="tasks.infer")
def infer(self: InferenceTask, model: str, inputs: Any, **options: Any) -> Any:
    """Any model of the catalogue by its name, whatever its kind."""
    return self.answer(model, inputs, options)
