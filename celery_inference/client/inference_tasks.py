"""The tasks that applications call, one for each kind of model, named after transformers' pipeline tasks.

Each takes one input or a list of inputs, `model=` a name of the catalogue (else the pipeline task's default) and the
model's options, and answers as the pipeline of that name does: one result for one input, a list for a list. With
`return_errors=True` an input of a list fails alone: see `celery_inference.inputs.rows`.
Media are the bytes of a file, their base64, or what `celery_inference.upload` returned for them; in results they are
base64 with
their sizes.
What does not fit the model's spec raises celery_inference.specs.errors.InvalidInput at `delay()`.
docs/pipeline-tasks.md lists inputs,
options and results.
"""

from typing import Any

from celery_inference.client.app import app
from celery_inference.client.task import InferenceTask


def _task(pipeline_task: str, answers: str) -> InferenceTask:
    """The task of a pipeline task: `celery_inference.text_classification` for "text-classification"."""

    def ask(
        self: InferenceTask, inputs: Any, model: str | None = None, *, return_errors: bool = False, **options: Any
    ) -> Any:
        return self.answer(model, inputs, options, return_errors)

    name = pipeline_task.replace("-", "_")
    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = answers
    # Not shared: other applications of a process have tasks of their own, and not these.
    make = app.task(
        bind=True,
        base=InferenceTask,
        name=f"celery_inference.{name}",
        pipeline_task=pipeline_task,
        shared=False,
    )
    task: InferenceTask = make(ask)
    return task


audio_classification = _task("audio-classification", "Labels with scores for each recording.")
automatic_speech_recognition = _task(
    "automatic-speech-recognition",
    'What is said in each recording: `{"text"}`; with `return_timestamps` also when, by "word", "char" or "segment".',
)
decision = _task(
    "decision",
    'Answers, with probabilities, to the typed questions of each `{"state": …, "questions": {name: question}}`.',
)
depth_estimation = _task("depth-estimation", "How far everything in each image is, as an image, with least and most.")
document_question_answering = _task(
    "document-question-answering",
    'Answers from each `{"image": …, "question": …, "word_boxes": [["word", [left, top, right, bottom]], …]}`.',
)
feature_extraction = _task(
    "feature-extraction", "Embeddings: a list of floats for each text, pooled and normalized as the model's spec says."
)
fill_mask = _task("fill-mask", "The likeliest tokens for the mask of each text.")
image_classification = _task("image-classification", "Labels with scores for each image.")
image_feature_extraction = _task(
    "image-feature-extraction", "Embeddings: a list of floats for each image, pooled as the model's spec says."
)
image_segmentation = _task("image-segmentation", "The parts of each image: label, score and mask.")
image_text_to_text = _task(
    "image-text-to-text", 'Generated text for each `{"image": …, "text": …}`, or for each chat with images in it.'
)
keypoint_matching = _task("keypoint-matching", 'Points that match in each `{"image": …, "other_image": …}`.')
object_detection = _task("object-detection", "The objects in each image: label, score and box in pixels.")
table_question_answering = _task(
    "table-question-answering", 'The answer in each `{"table": {"column": ["cell", …]}, "query": …}`.'
)
text_classification = _task("text-classification", "Labels with scores for each text.")
text_generation = _task("text-generation", "Generated text for each prompt or chat.")
text_to_audio = _task("text-to-audio", 'Each text as sound: `{"wav": base64, "sampling_rate", "seconds"}`.')
token_classification = _task("token-classification", "Labelled spans of each text.")
video_classification = _task("video-classification", "Labels with scores for each video, an MP4 or WebM file.")
zero_shot_audio_classification = _task(
    "zero-shot-audio-classification", "How well each of `candidate_labels` fits each recording."
)
zero_shot_classification = _task("zero-shot-classification", "How well each of `candidate_labels` fits each text.")
zero_shot_image_classification = _task(
    "zero-shot-image-classification", "How well each of `candidate_labels` fits each image."
)
zero_shot_object_detection = _task(
    "zero-shot-object-detection", "Where in each image the `candidate_labels` are: label, score and box in pixels."
)


@app.task(bind=True, base=InferenceTask, name="celery_inference.infer", shared=False)
def infer(self: InferenceTask, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Any:
    """Any model of the catalogue by its name, whatever its kind."""
    return self.answer(model, inputs, options, return_errors)
