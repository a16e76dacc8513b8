"""What a model's folder must hold, and must not, before anything in it is loaded. No torch.

A folder comes from somebody else. What would make the libraries run code of theirs is refused here with a sentence
that says what it is; `allow_unsafe` admits it for one model in one process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery_inference.specs.errors import ModelLoadError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"  # of peft
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
UNSAFE = (
    "weights are read from pickle files as well, by torch's restricted unpickler,"
    " and Python code that the model's folder or repository brings along is run with all rights of the process"
)

_HOW = "`celery-inference models check --help` says how to allow it"
_KERNEL_KEYS = {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}


def check(folder: Path, *, allow_unsafe: bool) -> None:
    """Raises ModelLoadError when the folder lacks configuration or weights, or would have its own code run."""
    if not folder.is_dir():
        raise ModelLoadError(f"the folder {folder} does not exist")
    config = _read(folder / "config.json")
    if not allow_unsafe:
        _refuse_code(config)
    missing = missing_weights(folder)
    if not missing and (folder / ADAPTER).exists():
        # transformers adds it to the weights where peft is installed, and nowhere else.
        raise ModelLoadError(f"it holds {ADAPTER} beside weights of its own; merge the adapter, or move it away")
    if not missing:
        return
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if missing != [WEIGHTS]:
        raise ModelLoadError(f"{len(missing)} files of weights are missing, the first is {missing[0]}")
    if not pickles:
        raise ModelLoadError(f"it has no weights: {WEIGHTS} is missing")
    if not allow_unsafe:
        raise ModelLoadError(
            f"its weights are in {pickles[0]}, and pickle files can run code when they are read;"
            f" convert them to safetensors ({_HOW})"
        )


def explained(error: ValueError) -> Exception:
    """What the libraries raised while loading, with a sentence of ours where a folder wants its own code to run."""
    if "trust_remote_code" not in str(error) and "custom code" not in str(error):
        return error
    return ModelLoadError(f"its folder brings Python code along that would have to be run ({_HOW})")


def missing_weights(folder: Path) -> list[str]:
    """The files of safetensors weights that are not there; a fetch that was cut off leaves some of them."""
    return [name for name in weight_files(folder) if not (folder / name).exists()]


def weight_files(folder: Path) -> list[str]:
    """The files of safetensors weights that are read. Raises ModelLoadError for an index that is none."""
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    parts = _read(folder / INDEX).get("weight_map")
    if not isinstance(parts, dict) or not all(isinstance(name, str) for name in parts.values()):
        raise ModelLoadError(f"{INDEX} has no weight_map")
    names = sorted(set(parts.values()))
    outside = next((name for name in names if Path(name).name != name), None)
    if outside is not None:
        raise ModelLoadError(f'{INDEX} names "{outside}", which is no file of the folder')
    return names


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{file.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ModelLoadError(f"{file.name} is no JSON object")
    return values


def _refuse_code(config: dict[str, Any]) -> None:
    """Kernels of a repository are native code, and transformers would fetch those that a configuration names."""
    for key, name in _kernels(config):
        if "/" in name:
            raise ModelLoadError(
                f'config.json sets {key} to "{name[:100]}", which is code from a hub; remove it ({_HOW})'
            )


def _kernels(value: object) -> Iterator[tuple[str, str]]:
    """Each kernel that a configuration asks for, also for its parts, with the key that does."""
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key not in _KERNEL_KEYS:
            yield from _kernels(item)
            continue
        for name in item.values() if isinstance(item, dict) else [item]:
            if isinstance(name, str):
                yield key, name
