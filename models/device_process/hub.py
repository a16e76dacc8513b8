"""Finds a model of the Hugging Face hub on this machine, or fetches it: at its pinned revision, data files only."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models import checkpoint

# Configurations and tokenizers. No .bin, .pt or .pkl, which are pickles, and no .py.
_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.codes", "*.spm", "*.bpe", "*.tiktoken"]
_UNSAFE_FILES = ["*.bin", "*.py"]

_log = logging.getLogger("models.device")


def folder_of(spec: ModelSpec) -> Path:
    """The folder that the spec's model is loaded from. Without network once it has been fetched.

    Raises ModelLoadError when it is neither here nor to be had, or when its folder may not be loaded.
    """
    folder = Path(spec.source) if spec.is_folder else _snapshot(spec)
    checkpoint.check(folder, allow_unsafe=spec.allow_unsafe)
    return folder


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is fetched inside, whatever a configuration names: as with HF_HUB_OFFLINE, in the whole process."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _snapshot(spec: ModelSpec) -> Path:
    try:
        folder = _fetched(spec, _FILES, local_files_only=True)
        if not _lacks(folder, spec):
            return folder
    except LocalEntryNotFoundError:
        pass
    if constants.is_offline_mode():
        raise ModelLoadError(
            f"revision {spec.revision} is not whole in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set"
        )
    _log.info("fetching %s at %s", spec.source, spec.revision)
    sentence = f"revision {spec.revision} cannot be fetched from {constants.ENDPOINT}"
    try:
        folder = _fetched(spec, _FILES + (_UNSAFE_FILES if spec.allow_unsafe else []))
        # A repository may hold the same weights in other forms beside those that are read.
        _fetched(spec, [glob.escape(name) for name in checkpoint.weight_files(folder)])
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelLoadError(f"{sentence}: {' '.join(str(error).split())}") from error
    # A hub that does not answer is no error to huggingface_hub when some of the snapshot is here.
    lacking = _lacks(folder, spec)
    if lacking and (folder / checkpoint.INDEX).exists():
        raise ModelLoadError(f"{sentence}: {lacking[0]} is not here either")
    return folder


def _fetched(spec: ModelSpec, files: list[str], *, local_files_only: bool = False) -> Path:
    return Path(
        snapshot_download(spec.source, revision=spec.revision, allow_patterns=files, local_files_only=local_files_only)
    )


def _lacks(folder: Path, spec: ModelSpec) -> list[str]:
    """The files of weights that are named and not there."""
    return [] if spec.allow_unsafe and list(folder.glob("*.bin")) else checkpoint.missing_weights(folder)
