"""Finds a model of the Hugging Face hub on this machine, or fetches it: at its pinned revision, data files only."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from models.spec import ModelSpec

# No .bin, .pt or .pkl, which are pickles, and no .py.
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]

_log = logging.getLogger("models.device")


def folder_of(spec: ModelSpec) -> Path:
    """The folder that the spec's model is loaded from. Without network once it has been fetched."""
    if spec.is_folder:
        return Path(spec.source)
    try:
        folder = Path(
            snapshot_download(spec.source, revision=spec.revision, allow_patterns=_FILES, local_files_only=True)
        )
        if _has_weights(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    _log.info("fetching %s at %s", spec.source, spec.revision)
    return Path(snapshot_download(spec.source, revision=spec.revision, allow_patterns=_FILES))


def _has_weights(folder: Path) -> bool:
    """Whether a snapshot is there to the last shard; a fetch that was cut off leaves some of its files."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / name).exists() for name in names)
    return (folder / "model.safetensors").exists()
