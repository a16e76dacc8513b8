"""Names for annotations: what tasks take, what they answer, and the result that is waited for.

    from celery_inference import text_classification
    from celery_inference.types import LabelScore, Result

    sent: Result[list[LabelScore]] = text_classification.delay("A text.")

At run time inputs and answers are plain dicts and lists, as JSON is; `Result` and `Signature` are Celery's classes, as
`delay()` and `s()` return them. docs/pipeline-tasks.md says which task has which.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NotRequired, Protocol, TypeAlias, TypedDict, TypeVar, final

__all__ = [
    "Answer",
    "Box",
    "Chat",
    "ChatMessage",
    "Chunk",
    "DecisionInput",
    "DepthMap",
    "Detection",
    "Document",
    "Entity",
    "Filling",
    "GeneratedText",
    "ImageChat",
    "ImageMessage",
    "ImagePair",
    "ImagePart",
    "ImageSegment",
    "ImageText",
    "Keypoint",
    "KeypointMatch",
    "LabelScore",
    "LabelScores",
    "Media",
    "Outcome",
    "Picture",
    "Result",
    "Row",
    "RowError",
    "RowFault",
    "RowResult",
    "SendOptions",
    "Signature",
    "Sound",
    "Table",
    "TableAnswer",
    "TextPair",
    "TextPart",
    "Transcript",
    "Upload",
    "UploadClaim",
]

# What tasks take.


class UploadClaim(TypedDict):
    """Of bytes in the store of uploads."""

    key: str
    size_bytes: int
    sha256: str


class Upload(TypedDict):
    """What `upload` returned; it may stand for the bytes."""

    claim: UploadClaim


# The bytes of a file, their base64 (or a `data:` URL of it), or what `upload` returned for them.
Media = bytes | bytearray | memoryview | str | Upload
Role = Literal["system", "user", "assistant"]


class ChatMessage(TypedDict):
    """One message of a chat."""

    role: Role
    content: str


# One input, and not a list of inputs.
Chat = Sequence[ChatMessage]


class TextPart(TypedDict):
    """Text in a message that may hold images."""

    type: Literal["text"]
    text: str


class ImagePart(TypedDict):
    """An image in a message."""

    type: Literal["image"]
    image: Media


class ImageMessage(TypedDict):
    """One message of a chat with images."""

    role: Role
    content: str | Sequence[TextPart | ImagePart]


ImageChat = Sequence[ImageMessage]


class ImageText(TypedDict):
    """An image with what is asked of it."""

    image: Media
    text: str


class ImagePair(TypedDict):
    """Two images in which the same points are looked for."""

    image: Media
    other_image: Media


class Document(TypedDict):
    """A page with a question. `word_boxes`: `[["word", [left, top, right, bottom]], …]` in thousandths of the page."""

    image: Media
    question: str
    word_boxes: NotRequired[Sequence[Sequence[Any]]]


class Table(TypedDict):
    """A question to a table, `{"column": ["cell", …]}`."""

    table: Mapping[str, Sequence[str]]
    query: str


class TextPair(TypedDict):
    """Two texts that a model classifies together, as a premise and a hypothesis."""

    text: str
    text_pair: str


class DecisionInput(TypedDict):
    """A state, and questions by their names, each `{"type", "instructions", "criteria"}`."""

    state: Any
    questions: Mapping[str, Any]


# What tasks answer.


class LabelScore(TypedDict):
    """A label, and how well it fits."""

    label: str
    score: float


class Entity(TypedDict):
    """A labelled span of a text. With `aggregation_strategy="none"`, `entity` and `index` stand for `entity_group`."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int
    entity: NotRequired[str]
    index: NotRequired[int]


class LabelScores(TypedDict):
    """All labels of a text, best first."""

    sequence: str
    labels: list[str]
    scores: list[float]


class Filling(TypedDict):
    """A token for a mask."""

    score: float
    token: int
    token_str: str
    sequence: str


class GeneratedText(TypedDict):
    """The new text alone."""

    generated_text: str


class Sound(TypedDict):
    """Sound as a WAV file, in base64."""

    wav: str
    sampling_rate: int
    seconds: float


class TableAnswer(TypedDict):
    """An answer from a table. Models that write their answers give no cells."""

    answer: str
    coordinates: NotRequired[list[list[int]]]
    cells: NotRequired[list[str]]
    aggregator: NotRequired[str]


class Picture(TypedDict):
    """An image as a PNG file, in base64."""

    png: str
    width: int
    height: int


class ImageSegment(TypedDict):
    """A part of an image. `score` is None with `subtask="semantic"`."""

    label: str
    score: float | None
    mask: Picture


class Box(TypedDict):
    """In pixels."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class Detection(TypedDict):
    """An object in an image."""

    label: str
    score: float
    box: Box


class DepthMap(TypedDict):
    """How far everything in an image is, with the least and the most."""

    depth: Picture
    minimum: float
    maximum: float


class Keypoint(TypedDict):
    """A place in an image."""

    x: float
    y: float


class KeypointMatch(TypedDict):
    """A point that both images have."""

    keypoint_image_0: Keypoint
    keypoint_image_1: Keypoint
    score: float


class Answer(TypedDict):
    """An answer from a page. Models that read pixels alone give `answer` alone."""

    score: float
    answer: str
    start: int
    end: int


class Chunk(TypedDict):
    """A piece of what is said, with the seconds where it begins and ends."""

    text: str
    timestamp: list[float | None]


class Transcript(TypedDict):
    """What is said; with `return_timestamps` in chunks, too."""

    text: str
    chunks: NotRequired[list[Chunk]]


# What a list is answered with where `return_errors` is given: an item for each input.

_R = TypeVar("_R")


class RowFault(TypedDict):
    """What is wrong with one input: `type` is a class of `celery_inference.errors`, the rest its attributes.

    `results_and_errors` makes that error of it.
    """

    type: str
    message: str
    fault: Literal["caller", "model"]
    index: int
    field: NotRequired[str]
    limit: NotRequired[int | float | str]
    allowed: NotRequired[list[str]]
    nearest: NotRequired[str]
    model_traceback: NotRequired[str]


@final
class RowResult(TypedDict, Generic[_R]):
    """An input that was answered."""

    result: _R


@final
class RowError(TypedDict):
    """An input that failed alone."""

    error: RowFault


Row: TypeAlias = RowResult[_R] | RowError


# How requests are sent and waited for.


class SendOptions(TypedDict, total=False):
    """What `apply_async` takes besides the request's arguments: `dedup_key`, and Celery's own."""

    dedup_key: str | None
    queue: str | None
    countdown: float | None
    eta: datetime | None
    expires: float | datetime | None
    task_id: str | None
    link: Any
    link_error: Any
    headers: Mapping[str, Any] | None
    add_to_parent: bool
    ignore_result: bool
    retry: bool
    retry_policy: Mapping[str, Any] | None
    shadow: str | None
    tenant: str | None
    MessageGroupId: str | None


_T = TypeVar("_T")


class Outcome(Protocol):
    """What stands for a request that was sent: `Result`, or Celery's own AsyncResult."""

    id: Any

    def ready(self) -> Any:
        """Whether it has ended."""


if TYPE_CHECKING:
    from celery.canvas import Signature as _CelerySignature

    class Result(Generic[_T]):
        """A request that was sent; `get()` waits for its answer."""

        id: str
        deadline: float | None
        parent: Any
        backend: Any
        app: Any

        @property
        def task_id(self) -> str: ...
        @property
        def state(self) -> str: ...
        @property
        def status(self) -> str: ...
        @property
        def result(self) -> _T | BaseException | None: ...
        @property
        def info(self) -> _T | BaseException | None: ...
        @property
        def traceback(self) -> str | None: ...
        @property
        def children(self) -> list[Any] | None: ...
        @property
        def date_done(self) -> datetime | None: ...
        def get(
            self,
            timeout: float | None = None,
            propagate: bool = True,
            interval: float = 0.5,
            *,
            follow_parents: bool = True,
            callback: Callable[[str, Any], Any] | None = None,
            on_interval: Callable[[], Any] | None = None,
            disable_sync_subtasks: bool = True,
        ) -> _T: ...
        def ready(self) -> bool: ...
        def successful(self) -> bool: ...
        def failed(self) -> bool: ...
        def maybe_throw(self, propagate: bool = True) -> _T: ...
        def revoke(
            self,
            connection: Any = None,
            terminate: bool = False,
            signal: str | None = None,
            wait: bool = False,
            timeout: float | None = None,
        ) -> None: ...
        def forget(self) -> None: ...
        def as_tuple(self) -> tuple[Any, Any]: ...
        def then(self, callback: Callable[..., Any], on_error: Any = None, weak: bool = False) -> Any: ...

    class Signature(_CelerySignature[Any], Generic[_T]):
        """A request that was not sent yet, for `group`, `chain` and `chord`."""

        def delay(self, *args: Any, **kwargs: Any) -> Result[_T]: ...
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Result[_T]: ...
        def set(self, immutable: bool | None = None, **options: Any) -> "Signature[_T]": ...
        def clone(self, args: Any = None, kwargs: Any = None, **options: Any) -> "Signature[_T]": ...

else:
    from celery.canvas import Signature

    from celery_inference.client.async_results.async_result import LaneResult as Result
