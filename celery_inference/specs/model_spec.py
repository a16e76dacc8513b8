"""A model as the catalogue describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from celery_inference.specs.options import Option
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS, PipelineTask


@dataclass(frozen=True, slots=True)
class Faults:
    """Inputs that misbehave on purpose, for demos, chaos tests and game days: a text, or empty for none.

    An input that contains `kill` ends its device process by SIGKILL when it is run, `hang` never returns, `fail`
    raises. Media inputs never match.
    """

    kill: str = ""
    hang: str = ""
    fail: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. `source` is an absolute folder, or a Hugging Face id whose `revision` is 40 hex digits.

    Limits of one request: `max_inputs`; `max_request_bytes` for all inputs together with the options, as JSON inside
    a message's JSON (what does not fit into a message is sent by claim check); `max_pairs` for its texts times its
    labels; `max_result_bytes` for its result as JSON.
    Limits of one input: `max_characters`, `max_bytes` (media are counted after base64 decoding), `max_tokens`
    once tokenized, `max_pixels` of an image or a frame, `max_seconds` of sound, `max_beam_tokens` for beams times
    new tokens.
    A batch has at most `batch_size` inputs and `batch_tokens` tokens, padding included; `continuous` ("auto", "on"
    or "off") says whether text generation lets requests join a batch that runs. `time_limit_seconds` bounds one
    batch; past it the device process is killed.
    `lane` is the queue that its requests go to, None the default one. A request without an expiry of its own expires
    `deadline_seconds` after it was sent.
    `memory_bytes` is the device memory that weights, batches and caches may take together; None: not bounded.
    `isolate`: it has a device process of its own, so that its crashes and its memory are not its neighbours'.
    `pooling` ("mean", "cls" or "none") and `normalize` concern feature extraction.
    `endpoint`: the model is not loaded by workers; its batches are sent to what is served under this name elsewhere, at
    most `endpoint_batches` at once, and where `endpoint_objects` names a place for them, by way of objects in it.
    `example` with `example_options` is what warms it up and what `models check` runs; None: its pipeline task's own.
    `allow_unsafe` is no key of the catalogue: who runs a process may allow it there. Nor is `default_size`: the
    catalogue says nothing of `batch_size`, so that what was measured on the device replaces it. Nor is
    `default_tokens`: it says nothing of `max_tokens`, so that a model of fewer positions bounds them itself.
    """

    name: str
    task: str
    source: str
    revision: str | None = None
    dtype: str = "float32"
    default: bool = False
    lane: str | None = None
    deadline_seconds: float | None = None
    max_inputs: int = 64
    max_request_bytes: int = 32_000_000
    max_pairs: int = 1024
    max_result_bytes: int = 16_000_000
    max_characters: int = 20_000
    max_bytes: int = 8_000_000
    max_tokens: int = 512
    max_pixels: int = 40_000_000
    max_seconds: float = 60.0
    max_beam_tokens: int = 2048
    batch_size: int = 16
    batch_tokens: int = 8192
    continuous: str = "auto"
    time_limit_seconds: float = 120.0
    memory_bytes: int | None = None
    isolate: bool = False
    pooling: str = "mean"
    normalize: bool = False
    endpoint: str | None = None
    endpoint_batches: int = 4
    endpoint_objects: str | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    example: Any = None
    example_options: Mapping[str, Any] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    allow_unsafe: bool = False
    default_size: bool = False
    default_tokens: bool = False

    @property
    def pipeline_task(self) -> PipelineTask:
        """What is known about the spec's pipeline task."""
        return PIPELINE_TASKS[self.task]

    @property
    def joins(self) -> bool:
        """Whether requests join a generation that runs. "auto" stands for what was measured, and is off until then."""
        return self.continuous == "on" and self.task == "text-generation"

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest input that may come, with those that may be written after it."""
        written = self.options.get("max_new_tokens")
        return self.max_tokens + int((written.maximum if written is not None else None) or 0)

    def in_force(self, name: str, options: Mapping[str, Any]) -> Any:
        """The option as it was given, or its default; None for what the model does not have."""
        known = self.options.get(name)
        return options.get(name, None if known is None else known.default)

    @property
    def is_folder(self) -> bool:
        """Whether the source is a folder on this machine, loaded without network."""
        return Path(self.source).is_absolute()

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values, for the way to a device process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelSpec:
        """What `as_json` gave, as a spec again."""
        options = {name: Option.from_json(option) for name, option in values["options"].items()}
        return cls(**{**values, "options": options, "faults": Faults(**values["faults"])})
