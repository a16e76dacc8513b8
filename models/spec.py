"""A model as the catalogue describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.kinds import KINDS, Kind, Option


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

    `max_inputs` bounds the inputs of one request, `max_request_bytes` all of them together with the options, as JSON
    inside a message's JSON: the default leaves room for the envelope in 262,144 bytes. `max_characters` and
    `max_bytes` bound each input (media are counted after base64 decoding), `max_tokens` each input once tokenized,
    `max_pixels` each image.
    A batch has at most `batch_size` inputs and `batch_tokens` tokens, padding included.
    `pooling` ("mean", "cls" or "none") and `normalize` concern feature extraction.
    `time_limit_seconds` bounds one batch; past it the device process is killed.
    """

    name: str
    task: str
    source: str
    revision: str | None = None
    dtype: str = "float32"
    default: bool = False
    max_inputs: int = 64
    max_request_bytes: int = 240_000
    max_characters: int = 20_000
    max_bytes: int = 8_000_000
    max_tokens: int = 512
    max_pixels: int = 40_000_000
    batch_size: int = 16
    batch_tokens: int = 8192
    pooling: str = "mean"
    normalize: bool = False
    time_limit_seconds: float = 120.0
    options: Mapping[str, Option] = field(default_factory=dict)
    example: Any = None
    faults: Faults = field(default_factory=Faults)

    @property
    def kind(self) -> Kind:
        """What is known about the spec's pipeline task."""
        return KINDS[self.task]

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
        options = {name: Option(**{**o, "choices": tuple(o["choices"])}) for name, o in values["options"].items()}
        return cls(**{**values, "options": options, "faults": Faults(**values["faults"])})
