# Written by `python -m tests.support.face_stubs --write`: change that, or the table of pipeline tasks, and not this.
# mypy: disable-error-code="overload-overlap"
# pyright: reportOverlappingOverload=false
# A text is a sequence of texts, and the first overload that fits counts.
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack, overload

from celery_inference import errors as errors
from celery_inference.client.app import Application
from celery_inference.settings import configure as configure
from celery_inference.types import (
    Answer,
    Chat,
    DecisionInput,
    DepthMap,
    Detection,
    Document,
    Entity,
    Filling,
    GeneratedText,
    ImageChat,
    ImagePair,
    ImageSegment,
    ImageText,
    KeypointMatch,
    LabelScore,
    LabelScores,
    Media,
    Outcome,
    Result,
    Row,
    SendOptions,
    Signature,
    Sound,
    Table,
    TableAnswer,
    TextPair,
    Transcript,
    Upload,
)

__all__ = [
    "app",
    "audio_classification",
    "automatic_speech_recognition",
    "configure",
    "decision",
    "delete_upload",
    "depth_estimation",
    "document_question_answering",
    "errors",
    "feature_extraction",
    "fill_mask",
    "image_classification",
    "image_feature_extraction",
    "image_segmentation",
    "image_text_to_text",
    "infer",
    "keypoint_matching",
    "object_detection",
    "provenance",
    "results_and_errors",
    "table_question_answering",
    "text_classification",
    "text_generation",
    "text_to_audio",
    "token_classification",
    "upload",
    "video_classification",
    "zero_shot_audio_classification",
    "zero_shot_classification",
    "zero_shot_image_classification",
    "zero_shot_object_detection",
]

app: Application
_T = TypeVar("_T")

def upload(data: bytes | bytearray | memoryview) -> Upload: ...
def delete_upload(kept: Upload) -> None: ...
def provenance(result: Outcome) -> dict[str, Any] | None: ...
def results_and_errors(answer: Sequence[Row[_T]]) -> tuple[list[_T | None], dict[int, errors.InferenceError]]: ...

class _Task:
    name: str
    app: Application
    backend: Any

    def AsyncResult(self, task_id: str) -> Result[Any]: ...
    def signature(self, args: Any = None, kwargs: Any = None, **options: Any) -> Signature[Any]: ...
    def map(self, it: Iterable[Any]) -> Signature[Any]: ...
    def starmap(self, it: Iterable[Any]) -> Signature[Any]: ...
    def chunks(self, it: Iterable[Any], n: int) -> Signature[Any]: ...
    def apply_async_on_commit(self, args: Any = None, kwargs: Any = None, **sending: Unpack[SendOptions]) -> None: ...

class _Infer(_Task):
    def __call__(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Any: ...
    def delay(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Result[Any]: ...
    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[Any]: ...
    def s(
        self, model: str = ..., inputs: Any = ..., *, return_errors: bool = False, **options: Any
    ) -> Signature[Any]: ...
    def si(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Signature[Any]: ...
    def delay_on_commit(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> None: ...

infer: _Infer

class _FeatureExtractionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    truncation: bool

class _FeatureExtractionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    truncation: bool

class _FeatureExtractionCall(_FeatureExtractionOptions):
    inputs: Required[str]

class _FeatureExtractionCalls(_FeatureExtractionOptions):
    inputs: Required[Sequence[str]]

class _FeatureExtractionEachCalls(_FeatureExtractionEach):
    inputs: Required[Sequence[str]]

class _FeatureExtraction(_Task):
    """Embeddings: a list of floats for each text, pooled and normalized as the model's spec says."""
    def __call__(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(self, inputs: str, model: str | None = None, *, truncation: bool = False) -> Result[list[float]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Result[list[list[float]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], truncation: bool = False
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str] | tuple[str, str | None] | list[str],
        kwargs: _FeatureExtractionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _FeatureExtractionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _FeatureExtractionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FeatureExtractionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FeatureExtractionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FeatureExtractionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FeatureExtractionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FeatureExtractionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FeatureExtractionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def s(self, inputs: str, model: str | None = None, *, truncation: bool = False) -> Signature[list[float]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Signature[list[list[float]]]: ...
    @overload
    def s(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], truncation: bool = False
    ) -> Signature[list[Row[list[float]]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, truncation: bool = False
    ) -> Signature[Any]: ...
    @overload
    def si(self, inputs: str, model: str | None = None, *, truncation: bool = False) -> Signature[list[float]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Signature[list[list[float]]]: ...
    @overload
    def si(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], truncation: bool = False
    ) -> Signature[list[Row[list[float]]]]: ...
    def delay_on_commit(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        truncation: bool = False,
    ) -> None: ...

feature_extraction: _FeatureExtraction

class _TextClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int
    truncation: bool

class _TextClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int
    truncation: bool

class _TextClassificationCall(_TextClassificationOptions):
    inputs: Required[str | TextPair]

class _TextClassificationCalls(_TextClassificationOptions):
    inputs: Required[Sequence[str | TextPair]]

class _TextClassificationEachCalls(_TextClassificationEach):
    inputs: Required[Sequence[str | TextPair]]

class _TextClassification(_Task):
    """Labels with scores for each text."""
    def __call__(
        self,
        inputs: str | TextPair | Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 1,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self, inputs: str | TextPair, model: str | None = None, *, top_k: int = 1, truncation: bool = False
    ) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        truncation: bool = False,
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        truncation: bool = False,
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str | TextPair] | tuple[str | TextPair, str | None] | list[str | TextPair],
        kwargs: _TextClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str | TextPair]]
        | tuple[Sequence[str | TextPair], str | None]
        | list[Sequence[str | TextPair]],
        kwargs: _TextClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str | TextPair]]
        | tuple[Sequence[str | TextPair], str | None]
        | list[Sequence[str | TextPair]],
        kwargs: _TextClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self, inputs: str | TextPair, model: str | None = None, *, top_k: int = 1, truncation: bool = False
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        truncation: bool = False,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        truncation: bool = False,
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, top_k: int = 1, truncation: bool = False
    ) -> Signature[Any]: ...
    @overload
    def si(
        self, inputs: str | TextPair, model: str | None = None, *, top_k: int = 1, truncation: bool = False
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        truncation: bool = False,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        truncation: bool = False,
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self,
        inputs: str | TextPair | Sequence[str | TextPair],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 1,
        truncation: bool = False,
    ) -> None: ...

text_classification: _TextClassification

class _TokenClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"]
    truncation: bool

class _TokenClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"]
    truncation: bool

class _TokenClassificationCall(_TokenClassificationOptions):
    inputs: Required[str]

class _TokenClassificationCalls(_TokenClassificationOptions):
    inputs: Required[Sequence[str]]

class _TokenClassificationEachCalls(_TokenClassificationEach):
    inputs: Required[Sequence[str]]

class _TokenClassification(_Task):
    """Labelled spans of each text."""
    def __call__(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: str,
        model: str | None = None,
        *,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Result[list[Entity]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Result[list[list[Entity]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Result[list[Row[list[Entity]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str] | tuple[str, str | None] | list[str],
        kwargs: _TokenClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Entity]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _TokenClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[Entity]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _TokenClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Entity]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TokenClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Entity]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TokenClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Entity]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TokenClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Entity]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TokenClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Entity]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TokenClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Entity]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TokenClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Entity]]]]: ...
    @overload
    def s(
        self,
        inputs: str,
        model: str | None = None,
        *,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[Entity]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[list[Entity]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[Row[list[Entity]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: str,
        model: str | None = None,
        *,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[Entity]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[list[Entity]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> Signature[list[Row[list[Entity]]]]: ...
    def delay_on_commit(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple",
        truncation: bool = False,
    ) -> None: ...

token_classification: _TokenClassification

class _ZeroShotClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str
    multi_label: bool
    truncation: bool

class _ZeroShotClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str
    multi_label: bool
    truncation: bool

class _ZeroShotClassificationCall(_ZeroShotClassificationOptions):
    inputs: Required[str]

class _ZeroShotClassificationCalls(_ZeroShotClassificationOptions):
    inputs: Required[Sequence[str]]

class _ZeroShotClassificationEachCalls(_ZeroShotClassificationEach):
    inputs: Required[Sequence[str]]

class _ZeroShotClassification(_Task):
    """How well each of `candidate_labels` fits each text."""
    def __call__(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: str,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Result[LabelScores]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Result[list[LabelScores]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Result[list[Row[LabelScores]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str] | tuple[str, str | None] | list[str],
        kwargs: _ZeroShotClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[LabelScores]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _ZeroShotClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScores]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _ZeroShotClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[LabelScores]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[LabelScores]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[LabelScores]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScores]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScores]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[LabelScores]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[LabelScores]]]: ...
    @overload
    def s(
        self,
        inputs: str,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[LabelScores]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[list[LabelScores]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[list[Row[LabelScores]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...] = ...,
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: str,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[LabelScores]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[list[LabelScores]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> Signature[list[Row[LabelScores]]]: ...
    def delay_on_commit(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        truncation: bool = False,
    ) -> None: ...

zero_shot_classification: _ZeroShotClassification

class _FillMaskOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int
    truncation: bool

class _FillMaskEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int
    truncation: bool

class _FillMaskCall(_FillMaskOptions):
    inputs: Required[str]

class _FillMaskCalls(_FillMaskOptions):
    inputs: Required[Sequence[str]]

class _FillMaskEachCalls(_FillMaskEach):
    inputs: Required[Sequence[str]]

class _FillMask(_Task):
    """The likeliest tokens for the mask of each text."""
    def __call__(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 5,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self, inputs: str, model: str | None = None, *, top_k: int = 5, truncation: bool = False
    ) -> Result[list[Filling]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        truncation: bool = False,
    ) -> Result[list[list[Filling]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        truncation: bool = False,
    ) -> Result[list[Row[list[Filling]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str] | tuple[str, str | None] | list[str],
        kwargs: _FillMaskOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Filling]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _FillMaskOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[Filling]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _FillMaskEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Filling]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FillMaskCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Filling]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FillMaskCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Filling]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FillMaskCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Filling]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FillMaskCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Filling]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _FillMaskEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Filling]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _FillMaskEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Filling]]]]: ...
    @overload
    def s(
        self, inputs: str, model: str | None = None, *, top_k: int = 5, truncation: bool = False
    ) -> Signature[list[Filling]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        truncation: bool = False,
    ) -> Signature[list[list[Filling]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        truncation: bool = False,
    ) -> Signature[list[Row[list[Filling]]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, top_k: int = 5, truncation: bool = False
    ) -> Signature[Any]: ...
    @overload
    def si(
        self, inputs: str, model: str | None = None, *, top_k: int = 5, truncation: bool = False
    ) -> Signature[list[Filling]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        truncation: bool = False,
    ) -> Signature[list[list[Filling]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        truncation: bool = False,
    ) -> Signature[list[Row[list[Filling]]]]: ...
    def delay_on_commit(
        self,
        inputs: str | Sequence[str],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 5,
        truncation: bool = False,
    ) -> None: ...

fill_mask: _FillMask

class _TextGenerationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    max_new_tokens: int
    do_sample: bool
    temperature: float
    top_p: float
    top_k: int
    num_beams: int
    repetition_penalty: float
    seed: int
    truncation: bool

class _TextGenerationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    max_new_tokens: int
    do_sample: bool
    temperature: float
    top_p: float
    top_k: int
    num_beams: int
    repetition_penalty: float
    seed: int
    truncation: bool

class _TextGenerationCall(_TextGenerationOptions):
    inputs: Required[str | Chat]

class _TextGenerationCalls(_TextGenerationOptions):
    inputs: Required[Sequence[str | Chat]]

class _TextGenerationEachCalls(_TextGenerationEach):
    inputs: Required[Sequence[str | Chat]]

class _TextGeneration(_Task):
    """Generated text for each prompt or chat."""
    def __call__(
        self,
        inputs: str | Chat | Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: bool = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: str | Chat,
        model: str | None = None,
        *,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str | Chat] | tuple[str | Chat, str | None] | list[str | Chat],
        kwargs: _TextGenerationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str | Chat]] | tuple[Sequence[str | Chat], str | None] | list[Sequence[str | Chat]],
        kwargs: _TextGenerationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str | Chat]] | tuple[Sequence[str | Chat], str | None] | list[Sequence[str | Chat]],
        kwargs: _TextGenerationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextGenerationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextGenerationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextGenerationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextGenerationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextGenerationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextGenerationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def s(
        self,
        inputs: str | Chat,
        model: str | None = None,
        *,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[GeneratedText]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[list[GeneratedText]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[Row[list[GeneratedText]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: str | Chat,
        model: str | None = None,
        *,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[GeneratedText]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[list[GeneratedText]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> Signature[list[Row[list[GeneratedText]]]]: ...
    def delay_on_commit(
        self,
        inputs: str | Chat | Sequence[str | Chat],
        model: str | None = None,
        *,
        return_errors: bool = False,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        num_beams: int = ...,
        repetition_penalty: float = ...,
        seed: int = ...,
        truncation: bool = False,
    ) -> None: ...

text_generation: _TextGeneration

class _TextToAudioOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    seed: int

class _TextToAudioEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    seed: int

class _TextToAudioCall(_TextToAudioOptions):
    inputs: Required[str]

class _TextToAudioCalls(_TextToAudioOptions):
    inputs: Required[Sequence[str]]

class _TextToAudioEachCalls(_TextToAudioEach):
    inputs: Required[Sequence[str]]

class _TextToAudio(_Task):
    """Each text as sound: `{"wav": base64, "sampling_rate", "seconds"}`."""
    def __call__(
        self, inputs: str | Sequence[str], model: str | None = None, *, return_errors: bool = False, seed: int = ...
    ) -> Any: ...
    @overload
    def delay(self, inputs: str, model: str | None = None, *, seed: int = ...) -> Result[Sound]: ...
    @overload
    def delay(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[False] = False, seed: int = ...
    ) -> Result[list[Sound]]: ...
    @overload
    def delay(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], seed: int = ...
    ) -> Result[list[Row[Sound]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[str] | tuple[str, str | None] | list[str],
        kwargs: _TextToAudioOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[Sound]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _TextToAudioOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Sound]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[str]] | tuple[Sequence[str], str | None] | list[Sequence[str]],
        kwargs: _TextToAudioEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[Sound]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextToAudioCall, **sending: Unpack[SendOptions]
    ) -> Result[Sound]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextToAudioCall, **sending: Unpack[SendOptions]
    ) -> Result[Sound]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextToAudioCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Sound]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextToAudioCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Sound]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TextToAudioEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[Sound]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TextToAudioEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[Sound]]]: ...
    @overload
    def s(self, inputs: str, model: str | None = None, *, seed: int = ...) -> Signature[Sound]: ...
    @overload
    def s(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[False] = False, seed: int = ...
    ) -> Signature[list[Sound]]: ...
    @overload
    def s(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], seed: int = ...
    ) -> Signature[list[Row[Sound]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False, seed: int = ...) -> Signature[Any]: ...
    @overload
    def si(self, inputs: str, model: str | None = None, *, seed: int = ...) -> Signature[Sound]: ...
    @overload
    def si(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[False] = False, seed: int = ...
    ) -> Signature[list[Sound]]: ...
    @overload
    def si(
        self, inputs: Sequence[str], model: str | None = None, *, return_errors: Literal[True], seed: int = ...
    ) -> Signature[list[Row[Sound]]]: ...
    def delay_on_commit(
        self, inputs: str | Sequence[str], model: str | None = None, *, return_errors: bool = False, seed: int = ...
    ) -> None: ...

text_to_audio: _TextToAudio

class _TableQuestionAnsweringOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    truncation: bool

class _TableQuestionAnsweringEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    truncation: bool

class _TableQuestionAnsweringCall(_TableQuestionAnsweringOptions):
    inputs: Required[Table]

class _TableQuestionAnsweringCalls(_TableQuestionAnsweringOptions):
    inputs: Required[Sequence[Table]]

class _TableQuestionAnsweringEachCalls(_TableQuestionAnsweringEach):
    inputs: Required[Sequence[Table]]

class _TableQuestionAnswering(_Task):
    """The answer in each `{"table": {"column": ["cell", …]}, "query": …}`."""
    def __call__(
        self,
        inputs: Table | Sequence[Table],
        model: str | None = None,
        *,
        return_errors: bool = False,
        truncation: bool = False,
    ) -> Any: ...
    @overload
    def delay(self, inputs: Table, model: str | None = None, *, truncation: bool = False) -> Result[TableAnswer]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Result[list[TableAnswer]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        truncation: bool = False,
    ) -> Result[list[Row[TableAnswer]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Table] | tuple[Table, str | None] | list[Table],
        kwargs: _TableQuestionAnsweringOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[TableAnswer]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Table]] | tuple[Sequence[Table], str | None] | list[Sequence[Table]],
        kwargs: _TableQuestionAnsweringOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[TableAnswer]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Table]] | tuple[Sequence[Table], str | None] | list[Sequence[Table]],
        kwargs: _TableQuestionAnsweringEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[TableAnswer]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TableQuestionAnsweringCall, **sending: Unpack[SendOptions]
    ) -> Result[TableAnswer]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TableQuestionAnsweringCall, **sending: Unpack[SendOptions]
    ) -> Result[TableAnswer]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TableQuestionAnsweringCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[TableAnswer]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TableQuestionAnsweringCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[TableAnswer]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _TableQuestionAnsweringEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[TableAnswer]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _TableQuestionAnsweringEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[TableAnswer]]]: ...
    @overload
    def s(self, inputs: Table, model: str | None = None, *, truncation: bool = False) -> Signature[TableAnswer]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Signature[list[TableAnswer]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        truncation: bool = False,
    ) -> Signature[list[Row[TableAnswer]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, truncation: bool = False
    ) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Table, model: str | None = None, *, truncation: bool = False) -> Signature[TableAnswer]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        truncation: bool = False,
    ) -> Signature[list[TableAnswer]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Table],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        truncation: bool = False,
    ) -> Signature[list[Row[TableAnswer]]]: ...
    def delay_on_commit(
        self,
        inputs: Table | Sequence[Table],
        model: str | None = None,
        *,
        return_errors: bool = False,
        truncation: bool = False,
    ) -> None: ...

table_question_answering: _TableQuestionAnswering

class _DecisionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]

class _DecisionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]

class _DecisionCall(_DecisionOptions):
    inputs: Required[DecisionInput]

class _DecisionCalls(_DecisionOptions):
    inputs: Required[Sequence[DecisionInput]]

class _DecisionEachCalls(_DecisionEach):
    inputs: Required[Sequence[DecisionInput]]

class _Decision(_Task):
    """Answers, with probabilities, to the typed questions of each `{"state": …, "questions": {name:
    question}}`.
    """
    def __call__(
        self, inputs: DecisionInput | Sequence[DecisionInput], model: str | None = None, *, return_errors: bool = False
    ) -> Any: ...
    @overload
    def delay(self, inputs: DecisionInput, model: str | None = None) -> Result[dict[str, Any]]: ...
    @overload
    def delay(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Result[list[dict[str, Any]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[True]
    ) -> Result[list[Row[dict[str, Any]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[DecisionInput] | tuple[DecisionInput, str | None] | list[DecisionInput],
        kwargs: _DecisionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[dict[str, Any]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[DecisionInput]]
        | tuple[Sequence[DecisionInput], str | None]
        | list[Sequence[DecisionInput]],
        kwargs: _DecisionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[dict[str, Any]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[DecisionInput]]
        | tuple[Sequence[DecisionInput], str | None]
        | list[Sequence[DecisionInput]],
        kwargs: _DecisionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[dict[str, Any]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DecisionCall, **sending: Unpack[SendOptions]
    ) -> Result[dict[str, Any]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DecisionCall, **sending: Unpack[SendOptions]
    ) -> Result[dict[str, Any]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DecisionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[dict[str, Any]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DecisionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[dict[str, Any]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DecisionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[dict[str, Any]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DecisionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[dict[str, Any]]]]: ...
    @overload
    def s(self, inputs: DecisionInput, model: str | None = None) -> Signature[dict[str, Any]]: ...
    @overload
    def s(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[dict[str, Any]]]: ...
    @overload
    def s(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[dict[str, Any]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False) -> Signature[Any]: ...
    @overload
    def si(self, inputs: DecisionInput, model: str | None = None) -> Signature[dict[str, Any]]: ...
    @overload
    def si(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[dict[str, Any]]]: ...
    @overload
    def si(
        self, inputs: Sequence[DecisionInput], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[dict[str, Any]]]]: ...
    def delay_on_commit(
        self, inputs: DecisionInput | Sequence[DecisionInput], model: str | None = None, *, return_errors: bool = False
    ) -> None: ...

decision: _Decision

class _ImageClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int

class _ImageClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int

class _ImageClassificationCall(_ImageClassificationOptions):
    inputs: Required[Media]

class _ImageClassificationCalls(_ImageClassificationOptions):
    inputs: Required[Sequence[Media]]

class _ImageClassificationEachCalls(_ImageClassificationEach):
    inputs: Required[Sequence[Media]]

class _ImageClassification(_Task):
    """Labels with scores for each image."""
    def __call__(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False, top_k: int = 5
    ) -> Any: ...
    @overload
    def delay(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ImageClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False, top_k: int = 5) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False, top_k: int = 5
    ) -> None: ...

image_classification: _ImageClassification

class _ImageFeatureExtractionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]

class _ImageFeatureExtractionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]

class _ImageFeatureExtractionCall(_ImageFeatureExtractionOptions):
    inputs: Required[Media]

class _ImageFeatureExtractionCalls(_ImageFeatureExtractionOptions):
    inputs: Required[Sequence[Media]]

class _ImageFeatureExtractionEachCalls(_ImageFeatureExtractionEach):
    inputs: Required[Sequence[Media]]

class _ImageFeatureExtraction(_Task):
    """Embeddings: a list of floats for each image, pooled as the model's spec says."""
    def __call__(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False
    ) -> Any: ...
    @overload
    def delay(self, inputs: Media, model: str | None = None) -> Result[list[float]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Result[list[list[float]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ImageFeatureExtractionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageFeatureExtractionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageFeatureExtractionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageFeatureExtractionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageFeatureExtractionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[float]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageFeatureExtractionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageFeatureExtractionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[float]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageFeatureExtractionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageFeatureExtractionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[float]]]]: ...
    @overload
    def s(self, inputs: Media, model: str | None = None) -> Signature[list[float]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[list[float]]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[list[float]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Media, model: str | None = None) -> Signature[list[float]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[list[float]]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[list[float]]]]: ...
    def delay_on_commit(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False
    ) -> None: ...

image_feature_extraction: _ImageFeatureExtraction

class _ImageSegmentationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    subtask: Literal["panoptic", "instance", "semantic"]
    threshold: float
    mask_threshold: float
    overlap_mask_area_threshold: float

class _ImageSegmentationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    subtask: Literal["panoptic", "instance", "semantic"]
    threshold: float
    mask_threshold: float
    overlap_mask_area_threshold: float

class _ImageSegmentationCall(_ImageSegmentationOptions):
    inputs: Required[Media]

class _ImageSegmentationCalls(_ImageSegmentationOptions):
    inputs: Required[Sequence[Media]]

class _ImageSegmentationEachCalls(_ImageSegmentationEach):
    inputs: Required[Sequence[Media]]

class _ImageSegmentation(_Task):
    """The parts of each image: label, score and mask."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Result[list[ImageSegment]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Result[list[list[ImageSegment]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Result[list[Row[list[ImageSegment]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ImageSegmentationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[ImageSegment]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageSegmentationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[ImageSegment]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ImageSegmentationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[ImageSegment]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageSegmentationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[ImageSegment]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageSegmentationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[ImageSegment]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageSegmentationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[ImageSegment]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageSegmentationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[ImageSegment]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageSegmentationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[ImageSegment]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageSegmentationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[ImageSegment]]]]: ...
    @overload
    def s(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[ImageSegment]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[list[ImageSegment]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[Row[list[ImageSegment]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[ImageSegment]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[list[ImageSegment]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> Signature[list[Row[list[ImageSegment]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        subtask: Literal["panoptic", "instance", "semantic"] = ...,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> None: ...

image_segmentation: _ImageSegmentation

class _ObjectDetectionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    threshold: float

class _ObjectDetectionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    threshold: float

class _ObjectDetectionCall(_ObjectDetectionOptions):
    inputs: Required[Media]

class _ObjectDetectionCalls(_ObjectDetectionOptions):
    inputs: Required[Sequence[Media]]

class _ObjectDetectionEachCalls(_ObjectDetectionEach):
    inputs: Required[Sequence[Media]]

class _ObjectDetection(_Task):
    """The objects in each image: label, score and box in pixels."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        threshold: float = 0.5,
    ) -> Any: ...
    @overload
    def delay(self, inputs: Media, model: str | None = None, *, threshold: float = 0.5) -> Result[list[Detection]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.5,
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], threshold: float = 0.5
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ObjectDetectionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ObjectDetectionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ObjectDetectionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ObjectDetectionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ObjectDetectionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ObjectDetectionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ObjectDetectionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ObjectDetectionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ObjectDetectionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def s(self, inputs: Media, model: str | None = None, *, threshold: float = 0.5) -> Signature[list[Detection]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.5,
    ) -> Signature[list[list[Detection]]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], threshold: float = 0.5
    ) -> Signature[list[Row[list[Detection]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False, threshold: float = 0.5) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Media, model: str | None = None, *, threshold: float = 0.5) -> Signature[list[Detection]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.5,
    ) -> Signature[list[list[Detection]]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], threshold: float = 0.5
    ) -> Signature[list[Row[list[Detection]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        threshold: float = 0.5,
    ) -> None: ...

object_detection: _ObjectDetection

class _DepthEstimationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]

class _DepthEstimationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]

class _DepthEstimationCall(_DepthEstimationOptions):
    inputs: Required[Media]

class _DepthEstimationCalls(_DepthEstimationOptions):
    inputs: Required[Sequence[Media]]

class _DepthEstimationEachCalls(_DepthEstimationEach):
    inputs: Required[Sequence[Media]]

class _DepthEstimation(_Task):
    """How far everything in each image is, as an image, with least and most."""
    def __call__(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False
    ) -> Any: ...
    @overload
    def delay(self, inputs: Media, model: str | None = None) -> Result[DepthMap]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Result[list[DepthMap]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Result[list[Row[DepthMap]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _DepthEstimationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[DepthMap]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _DepthEstimationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[DepthMap]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _DepthEstimationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[DepthMap]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DepthEstimationCall, **sending: Unpack[SendOptions]
    ) -> Result[DepthMap]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DepthEstimationCall, **sending: Unpack[SendOptions]
    ) -> Result[DepthMap]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DepthEstimationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[DepthMap]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DepthEstimationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[DepthMap]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DepthEstimationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[DepthMap]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DepthEstimationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[DepthMap]]]: ...
    @overload
    def s(self, inputs: Media, model: str | None = None) -> Signature[DepthMap]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[DepthMap]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[DepthMap]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Media, model: str | None = None) -> Signature[DepthMap]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[False] = False
    ) -> Signature[list[DepthMap]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True]
    ) -> Signature[list[Row[DepthMap]]]: ...
    def delay_on_commit(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False
    ) -> None: ...

depth_estimation: _DepthEstimation

class _ZeroShotImageClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str

class _ZeroShotImageClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str

class _ZeroShotImageClassificationCall(_ZeroShotImageClassificationOptions):
    inputs: Required[Media]

class _ZeroShotImageClassificationCalls(_ZeroShotImageClassificationOptions):
    inputs: Required[Sequence[Media]]

class _ZeroShotImageClassificationEachCalls(_ZeroShotImageClassificationEach):
    inputs: Required[Sequence[Media]]

class _ZeroShotImageClassification(_Task):
    """How well each of `candidate_labels` fits each image."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ZeroShotImageClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotImageClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotImageClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotImageClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotImageClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _ZeroShotImageClassificationCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotImageClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _ZeroShotImageClassificationEachCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotImageClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...] = ...,
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a photo of {}.",
    ) -> None: ...

zero_shot_image_classification: _ZeroShotImageClassification

class _ZeroShotObjectDetectionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    threshold: float
    top_k: int

class _ZeroShotObjectDetectionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    threshold: float
    top_k: int

class _ZeroShotObjectDetectionCall(_ZeroShotObjectDetectionOptions):
    inputs: Required[Media]

class _ZeroShotObjectDetectionCalls(_ZeroShotObjectDetectionOptions):
    inputs: Required[Sequence[Media]]

class _ZeroShotObjectDetectionEachCalls(_ZeroShotObjectDetectionEach):
    inputs: Required[Sequence[Media]]

class _ZeroShotObjectDetection(_Task):
    """Where in each image the `candidate_labels` are: label, score and box in pixels."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Result[list[Detection]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ZeroShotObjectDetectionOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotObjectDetectionOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotObjectDetectionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotObjectDetectionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotObjectDetectionCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Detection]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotObjectDetectionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotObjectDetectionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Detection]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _ZeroShotObjectDetectionEachCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotObjectDetectionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Detection]]]]: ...
    @overload
    def s(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[Detection]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[list[Detection]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[Row[list[Detection]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...] = ...,
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[Detection]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[list[Detection]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> Signature[list[Row[list[Detection]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        threshold: float = 0.1,
        top_k: int = 100,
    ) -> None: ...

zero_shot_object_detection: _ZeroShotObjectDetection

class _KeypointMatchingOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    threshold: float

class _KeypointMatchingEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    threshold: float

class _KeypointMatchingCall(_KeypointMatchingOptions):
    inputs: Required[ImagePair]

class _KeypointMatchingCalls(_KeypointMatchingOptions):
    inputs: Required[Sequence[ImagePair]]

class _KeypointMatchingEachCalls(_KeypointMatchingEach):
    inputs: Required[Sequence[ImagePair]]

class _KeypointMatching(_Task):
    """Points that match in each `{"image": …, "other_image": …}`."""
    def __call__(
        self,
        inputs: ImagePair | Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: bool = False,
        threshold: float = 0.0,
    ) -> Any: ...
    @overload
    def delay(
        self, inputs: ImagePair, model: str | None = None, *, threshold: float = 0.0
    ) -> Result[list[KeypointMatch]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.0,
    ) -> Result[list[list[KeypointMatch]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        threshold: float = 0.0,
    ) -> Result[list[Row[list[KeypointMatch]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[ImagePair] | tuple[ImagePair, str | None] | list[ImagePair],
        kwargs: _KeypointMatchingOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[KeypointMatch]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[ImagePair]] | tuple[Sequence[ImagePair], str | None] | list[Sequence[ImagePair]],
        kwargs: _KeypointMatchingOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[KeypointMatch]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[ImagePair]] | tuple[Sequence[ImagePair], str | None] | list[Sequence[ImagePair]],
        kwargs: _KeypointMatchingEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[KeypointMatch]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _KeypointMatchingCall, **sending: Unpack[SendOptions]
    ) -> Result[list[KeypointMatch]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _KeypointMatchingCall, **sending: Unpack[SendOptions]
    ) -> Result[list[KeypointMatch]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _KeypointMatchingCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[KeypointMatch]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _KeypointMatchingCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[KeypointMatch]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _KeypointMatchingEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[KeypointMatch]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _KeypointMatchingEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[KeypointMatch]]]]: ...
    @overload
    def s(
        self, inputs: ImagePair, model: str | None = None, *, threshold: float = 0.0
    ) -> Signature[list[KeypointMatch]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.0,
    ) -> Signature[list[list[KeypointMatch]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        threshold: float = 0.0,
    ) -> Signature[list[Row[list[KeypointMatch]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False, threshold: float = 0.0) -> Signature[Any]: ...
    @overload
    def si(
        self, inputs: ImagePair, model: str | None = None, *, threshold: float = 0.0
    ) -> Signature[list[KeypointMatch]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        threshold: float = 0.0,
    ) -> Signature[list[list[KeypointMatch]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        threshold: float = 0.0,
    ) -> Signature[list[Row[list[KeypointMatch]]]]: ...
    def delay_on_commit(
        self,
        inputs: ImagePair | Sequence[ImagePair],
        model: str | None = None,
        *,
        return_errors: bool = False,
        threshold: float = 0.0,
    ) -> None: ...

keypoint_matching: _KeypointMatching

class _DocumentQuestionAnsweringOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int
    max_answer_len: int
    handle_impossible_answer: bool

class _DocumentQuestionAnsweringEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int
    max_answer_len: int
    handle_impossible_answer: bool

class _DocumentQuestionAnsweringCall(_DocumentQuestionAnsweringOptions):
    inputs: Required[Document]

class _DocumentQuestionAnsweringCalls(_DocumentQuestionAnsweringOptions):
    inputs: Required[Sequence[Document]]

class _DocumentQuestionAnsweringEachCalls(_DocumentQuestionAnsweringEach):
    inputs: Required[Sequence[Document]]

class _DocumentQuestionAnswering(_Task):
    """Answers from each `{"image": …, "question": …, "word_boxes": [["word", [left, top, right, bottom]],
    …]}`.
    """
    def __call__(
        self,
        inputs: Document | Sequence[Document],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Document,
        model: str | None = None,
        *,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Result[list[Answer]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Result[list[list[Answer]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Result[list[Row[list[Answer]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Document] | tuple[Document, str | None] | list[Document],
        kwargs: _DocumentQuestionAnsweringOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Answer]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Document]] | tuple[Sequence[Document], str | None] | list[Sequence[Document]],
        kwargs: _DocumentQuestionAnsweringOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[Answer]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Document]] | tuple[Sequence[Document], str | None] | list[Sequence[Document]],
        kwargs: _DocumentQuestionAnsweringEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Answer]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DocumentQuestionAnsweringCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Answer]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DocumentQuestionAnsweringCall, **sending: Unpack[SendOptions]
    ) -> Result[list[Answer]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _DocumentQuestionAnsweringCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Answer]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DocumentQuestionAnsweringCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[Answer]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _DocumentQuestionAnsweringEachCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[Answer]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _DocumentQuestionAnsweringEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[Answer]]]]: ...
    @overload
    def s(
        self,
        inputs: Document,
        model: str | None = None,
        *,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[Answer]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[list[Answer]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[Row[list[Answer]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Document,
        model: str | None = None,
        *,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[Answer]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[list[Answer]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Document],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Signature[list[Row[list[Answer]]]]: ...
    def delay_on_commit(
        self,
        inputs: Document | Sequence[Document],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> None: ...

document_question_answering: _DocumentQuestionAnswering

class _ImageTextToTextOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    max_new_tokens: int

class _ImageTextToTextEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    max_new_tokens: int

class _ImageTextToTextCall(_ImageTextToTextOptions):
    inputs: Required[ImageText | ImageChat]

class _ImageTextToTextCalls(_ImageTextToTextOptions):
    inputs: Required[Sequence[ImageText | ImageChat]]

class _ImageTextToTextEachCalls(_ImageTextToTextEach):
    inputs: Required[Sequence[ImageText | ImageChat]]

class _ImageTextToText(_Task):
    """Generated text for each `{"image": …, "text": …}`, or for each chat with images in it."""
    def __call__(
        self,
        inputs: ImageText | ImageChat | Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: bool = False,
        max_new_tokens: int = 64,
    ) -> Any: ...
    @overload
    def delay(
        self, inputs: ImageText | ImageChat, model: str | None = None, *, max_new_tokens: int = 64
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[ImageText | ImageChat] | tuple[ImageText | ImageChat, str | None] | list[ImageText | ImageChat],
        kwargs: _ImageTextToTextOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[ImageText | ImageChat]]
        | tuple[Sequence[ImageText | ImageChat], str | None]
        | list[Sequence[ImageText | ImageChat]],
        kwargs: _ImageTextToTextOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[ImageText | ImageChat]]
        | tuple[Sequence[ImageText | ImageChat], str | None]
        | list[Sequence[ImageText | ImageChat]],
        kwargs: _ImageTextToTextEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageTextToTextCall, **sending: Unpack[SendOptions]
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageTextToTextCall, **sending: Unpack[SendOptions]
    ) -> Result[list[GeneratedText]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageTextToTextCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageTextToTextCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[GeneratedText]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ImageTextToTextEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ImageTextToTextEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[GeneratedText]]]]: ...
    @overload
    def s(
        self, inputs: ImageText | ImageChat, model: str | None = None, *, max_new_tokens: int = 64
    ) -> Signature[list[GeneratedText]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
    ) -> Signature[list[list[GeneratedText]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
    ) -> Signature[list[Row[list[GeneratedText]]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, max_new_tokens: int = 64
    ) -> Signature[Any]: ...
    @overload
    def si(
        self, inputs: ImageText | ImageChat, model: str | None = None, *, max_new_tokens: int = 64
    ) -> Signature[list[GeneratedText]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        max_new_tokens: int = 64,
    ) -> Signature[list[list[GeneratedText]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        max_new_tokens: int = 64,
    ) -> Signature[list[Row[list[GeneratedText]]]]: ...
    def delay_on_commit(
        self,
        inputs: ImageText | ImageChat | Sequence[ImageText | ImageChat],
        model: str | None = None,
        *,
        return_errors: bool = False,
        max_new_tokens: int = 64,
    ) -> None: ...

image_text_to_text: _ImageTextToText

class _AutomaticSpeechRecognitionOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    return_timestamps: Literal["char", "word", "segment"]
    language: str
    task: Literal["transcribe", "translate"]
    max_new_tokens: int

class _AutomaticSpeechRecognitionEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    return_timestamps: Literal["char", "word", "segment"]
    language: str
    task: Literal["transcribe", "translate"]
    max_new_tokens: int

class _AutomaticSpeechRecognitionCall(_AutomaticSpeechRecognitionOptions):
    inputs: Required[Media]

class _AutomaticSpeechRecognitionCalls(_AutomaticSpeechRecognitionOptions):
    inputs: Required[Sequence[Media]]

class _AutomaticSpeechRecognitionEachCalls(_AutomaticSpeechRecognitionEach):
    inputs: Required[Sequence[Media]]

class _AutomaticSpeechRecognition(_Task):
    """What is said in each recording: `{"text"}`; with `return_timestamps` also when, by "word", "char" or
    "segment".
    """
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Result[Transcript]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Result[list[Transcript]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Result[list[Row[Transcript]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _AutomaticSpeechRecognitionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[Transcript]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _AutomaticSpeechRecognitionOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Transcript]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _AutomaticSpeechRecognitionEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[Transcript]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _AutomaticSpeechRecognitionCall, **sending: Unpack[SendOptions]
    ) -> Result[Transcript]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AutomaticSpeechRecognitionCall, **sending: Unpack[SendOptions]
    ) -> Result[Transcript]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _AutomaticSpeechRecognitionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Transcript]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AutomaticSpeechRecognitionCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Transcript]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _AutomaticSpeechRecognitionEachCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[Transcript]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AutomaticSpeechRecognitionEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[Transcript]]]: ...
    @overload
    def s(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[Transcript]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[list[Transcript]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[list[Row[Transcript]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[Transcript]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[list[Transcript]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> Signature[list[Row[Transcript]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        return_timestamps: Literal["char", "word", "segment"] = ...,
        language: str = ...,
        task: Literal["transcribe", "translate"] = ...,
        max_new_tokens: int = ...,
    ) -> None: ...

automatic_speech_recognition: _AutomaticSpeechRecognition

class _AudioClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int

class _AudioClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int

class _AudioClassificationCall(_AudioClassificationOptions):
    inputs: Required[Media]

class _AudioClassificationCalls(_AudioClassificationOptions):
    inputs: Required[Sequence[Media]]

class _AudioClassificationEachCalls(_AudioClassificationEach):
    inputs: Required[Sequence[Media]]

class _AudioClassification(_Task):
    """Labels with scores for each recording."""
    def __call__(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False, top_k: int = 5
    ) -> Any: ...
    @overload
    def delay(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _AudioClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _AudioClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _AudioClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _AudioClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AudioClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _AudioClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AudioClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _AudioClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _AudioClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(self, *, model: str | None = None, return_errors: bool = False, top_k: int = 5) -> Signature[Any]: ...
    @overload
    def si(self, inputs: Media, model: str | None = None, *, top_k: int = 5) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self, inputs: Sequence[Media], model: str | None = None, *, return_errors: Literal[True], top_k: int = 5
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self, inputs: Media | Sequence[Media], model: str | None = None, *, return_errors: bool = False, top_k: int = 5
    ) -> None: ...

audio_classification: _AudioClassification

class _ZeroShotAudioClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str

class _ZeroShotAudioClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    candidate_labels: Required[list[str] | tuple[str, ...]]
    hypothesis_template: str

class _ZeroShotAudioClassificationCall(_ZeroShotAudioClassificationOptions):
    inputs: Required[Media]

class _ZeroShotAudioClassificationCalls(_ZeroShotAudioClassificationOptions):
    inputs: Required[Sequence[Media]]

class _ZeroShotAudioClassificationEachCalls(_ZeroShotAudioClassificationEach):
    inputs: Required[Sequence[Media]]

class _ZeroShotAudioClassification(_Task):
    """How well each of `candidate_labels` fits each recording."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Any: ...
    @overload
    def delay(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _ZeroShotAudioClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotAudioClassificationOptions,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _ZeroShotAudioClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _ZeroShotAudioClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotAudioClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _ZeroShotAudioClassificationCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotAudioClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[()] | None = None,
        *,
        kwargs: _ZeroShotAudioClassificationEachCalls,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _ZeroShotAudioClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self,
        *,
        model: str | None = None,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...] = ...,
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[Any]: ...
    @overload
    def si(
        self,
        inputs: Media,
        model: str | None = None,
        *,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        candidate_labels: list[str] | tuple[str, ...],
        hypothesis_template: str = "This is a sound of {}.",
    ) -> None: ...

zero_shot_audio_classification: _ZeroShotAudioClassification

class _VideoClassificationOptions(TypedDict, total=False):
    model: str | None
    return_errors: Literal[False]
    top_k: int
    frame_sampling_rate: int

class _VideoClassificationEach(TypedDict, total=False):
    model: str | None
    return_errors: Required[Literal[True]]
    top_k: int
    frame_sampling_rate: int

class _VideoClassificationCall(_VideoClassificationOptions):
    inputs: Required[Media]

class _VideoClassificationCalls(_VideoClassificationOptions):
    inputs: Required[Sequence[Media]]

class _VideoClassificationEachCalls(_VideoClassificationEach):
    inputs: Required[Sequence[Media]]

class _VideoClassification(_Task):
    """Labels with scores for each video, an MP4 or WebM file."""
    def __call__(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Any: ...
    @overload
    def delay(
        self, inputs: Media, model: str | None = None, *, top_k: int = 5, frame_sampling_rate: int = 1
    ) -> Result[list[LabelScore]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def delay(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Media] | tuple[Media, str | None] | list[Media],
        kwargs: _VideoClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _VideoClassificationOptions | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self,
        args: tuple[Sequence[Media]] | tuple[Sequence[Media], str | None] | list[Sequence[Media]],
        kwargs: _VideoClassificationEach,
        **sending: Unpack[SendOptions],
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _VideoClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _VideoClassificationCall, **sending: Unpack[SendOptions]
    ) -> Result[list[LabelScore]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _VideoClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _VideoClassificationCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[list[LabelScore]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None = None, *, kwargs: _VideoClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def apply_async(
        self, args: tuple[()] | None, kwargs: _VideoClassificationEachCalls, **sending: Unpack[SendOptions]
    ) -> Result[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self, inputs: Media, model: str | None = None, *, top_k: int = 5, frame_sampling_rate: int = 1
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def s(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    @overload
    def s(
        self, *, model: str | None = None, return_errors: bool = False, top_k: int = 5, frame_sampling_rate: int = 1
    ) -> Signature[Any]: ...
    @overload
    def si(
        self, inputs: Media, model: str | None = None, *, top_k: int = 5, frame_sampling_rate: int = 1
    ) -> Signature[list[LabelScore]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[False] = False,
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Signature[list[list[LabelScore]]]: ...
    @overload
    def si(
        self,
        inputs: Sequence[Media],
        model: str | None = None,
        *,
        return_errors: Literal[True],
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> Signature[list[Row[list[LabelScore]]]]: ...
    def delay_on_commit(
        self,
        inputs: Media | Sequence[Media],
        model: str | None = None,
        *,
        return_errors: bool = False,
        top_k: int = 5,
        frame_sampling_rate: int = 1,
    ) -> None: ...

video_classification: _VideoClassification
