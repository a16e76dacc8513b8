"""Counts a text's tokens in the sender, where the model's tokenizer file and the `tokenizers` library are at hand.

The base install has no such library and most senders no such file: then the device process counts, as it always does.
A text is counted with the special tokens that the model puts around it. A chat's message is counted without: what
its template adds is known in the device process alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec

_FILE = "tokenizer.json"
_MOST_SPECIAL_TOKENS = 8  # around a text; those known put at most four there


def check(spec: ModelSpec, row: Any, hub_cache: Path) -> None:
    """Raises InvalidInput for a text with more than `max_tokens` tokens. `row` is a checked input, `hub_cache` the
    folder where huggingface_hub keeps snapshots.

    The first long text of a model reads the file, which takes a few hundred milliseconds; later ones take about a
    millisecond a thousand words.
    """
    for texts in _texts(spec, row):
        # A token stands for a byte or more, so that short texts need no counting.
        if sum(len(text.encode()) for text in texts) + _MOST_SPECIAL_TOKENS <= spec.max_tokens:
            continue
        tokenizer = _tokenizer(spec, hub_cache)
        if tokenizer is None:
            return
        count = len(tokenizer.encode(*texts, add_special_tokens=spec.pipeline_task.media == "text").ids)
        if count > spec.max_tokens:
            raise InvalidInput.too_large("inputs", count, spec.max_tokens, "tokens")


def file_of(spec: ModelSpec, hub_cache: Path) -> Path | None:
    """The tokenizer file of the spec's folder, or of its snapshot in the hub's cache; None when it is not here."""
    folder = Path(spec.source) if spec.is_folder else hub_cache / _repository(spec) / "snapshots" / str(spec.revision)
    file = folder / _FILE
    return file if file.is_file() else None


def _texts(spec: ModelSpec, row: Any) -> Iterator[tuple[str, ...]]:
    """What of an input a tokenizer will see at once, a text or a pair; of other parts the device process knows."""
    if spec.pipeline_task.media == "text":
        yield (row,) if isinstance(row, str) else tuple(row.values())
    elif spec.pipeline_task.media == "chat":
        yield from [(row,)] if isinstance(row, str) else ((message["content"],) for message in row)


def _tokenizer(spec: ModelSpec, hub_cache: Path) -> Any:
    file = file_of(spec, hub_cache)
    if file is None or find_spec("tokenizers") is None:
        return None
    return _read(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _read(file: Path, changed: int) -> Any:
    """The tokenizer in that state of the file; None where it cannot be read, which the device process will say."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises bare ones
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _repository(spec: ModelSpec) -> str:
    return f"models--{spec.source.replace('/', '--')}"
