"""Loads what a spec names, in the one allowed way: from a folder, safetensors only, no code from a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    pipeline,
)

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec


def arguments(spec: ModelSpec) -> dict[str, Any]:
    """What every `from_pretrained` is called with. A spec's source is a folder here, whatever the catalogue says."""
    return {"trust_remote_code": spec.allow_unsafe, "local_files_only": True}


def safetensors(spec: ModelSpec) -> bool | None:
    """`use_safetensors` of every `from_pretrained` that reads weights: None also takes what torch can read."""
    return None if spec.allow_unsafe else True


def model(spec: ModelSpec, auto_class: Any, device: torch.device) -> Any:
    """The model, in the spec's dtype, on the device, in evaluation mode."""
    loaded = auto_class.from_pretrained(
        spec.source, use_safetensors=safetensors(spec), dtype=getattr(torch, spec.dtype), **arguments(spec)
    )
    _check_positions(spec, loaded.config)
    return loaded.to(device).eval()


def tokenizer(spec: ModelSpec) -> Any:
    """The tokenizer, with a token to pad with."""
    loaded = AutoTokenizer.from_pretrained(spec.source, **arguments(spec))
    if loaded.pad_token_id is None:
        if loaded.eos_token is None:
            raise ModelLoadError("the tokenizer has neither a padding nor an end token, so nothing can be batched")
        loaded.pad_token = loaded.eos_token
    return loaded


def image_processor(spec: ModelSpec) -> Any:
    """The image processor. The PIL backend needs no torchvision, and gives the same pixels on every machine."""
    return AutoImageProcessor.from_pretrained(spec.source, backend="pil", **arguments(spec))


def pipe(spec: ModelSpec, device: torch.device) -> Any:
    """transformers' pipeline for the spec's task, in the spec's dtype, on the device."""
    config = AutoConfig.from_pretrained(spec.source, **arguments(spec))
    if spec.task == "text-to-audio" and type(config) in MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING:
        raise ModelLoadError("it gives spectrograms, and the vocoder that makes sound of them is not in its folder")
    _check_positions(spec, config)
    parts = {}
    has_processor = any(
        (Path(spec.source) / name).exists() for name in ("preprocessor_config.json", "processor_config.json")
    )
    if has_processor and spec.pipeline_task.media in ("image", "video"):
        parts["image_processor"] = image_processor(spec)
    return pipeline(
        spec.task,
        model=spec.source,
        device=device,
        dtype=getattr(torch, spec.dtype),
        trust_remote_code=spec.allow_unsafe,
        model_kwargs={"use_safetensors": safetensors(spec)},
        **parts,
    )


def _check_positions(spec: ModelSpec, config: Any) -> None:
    positions = getattr(config, "max_position_embeddings", None)
    if spec.pipeline_task.media in ("text", "chat", "fields") and positions is not None and spec.max_tokens > positions:
        raise ModelLoadError(f"max_tokens is {spec.max_tokens}, and the model has {positions} positions")


def agree_on_padding(model: Any, tokenizer: Any) -> None:
    """Decoders that classify look for the last token that is not padding, by an id that their folder may lack."""
    if model.config.get_text_config().pad_token_id is None:
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
