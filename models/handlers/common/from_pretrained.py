"""Loads what a spec names, in the one allowed way: from a folder, safetensors only, no code from a hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
import transformers
from transformers import (
    MODEL_FOR_DECISION_MAPPING,
    MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    PreTrainedModel,
    pipeline,
)
from transformers.pipelines import check_task

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec

# What a pipeline may have beside its model.
_PARTS = ("tokenizer", "feature_extractor", "image_processor", "video_processor", "processor")


def arguments(spec: ModelSpec) -> dict[str, Any]:
    """What every `from_pretrained` is called with. A spec's source is a folder here, whatever the catalogue says."""
    return {"trust_remote_code": spec.allow_unsafe, "local_files_only": True}


def safetensors(spec: ModelSpec) -> bool | None:
    """`use_safetensors` of every `from_pretrained` that reads weights: None also takes what torch can read."""
    return None if spec.allow_unsafe else True


def model(spec: ModelSpec, auto_class: Any, device: torch.device) -> Any:
    """The model, in the spec's dtype, on the device, in evaluation mode.

    transformers fills weights that the folder lacks with random numbers. Here they are NaN, and named in the model's
    `missing_weights`: whatever uses one computes NaN, which is refused, and what uses none is as good as whole.

    Raises:
        ModelLoadError: a weight is missing for which there is no NaN.
    """
    loaded, report = auto_class.from_pretrained(
        spec.source,
        use_safetensors=safetensors(spec),
        dtype=getattr(torch, spec.dtype),
        output_loading_info=True,
        **arguments(spec),
    )
    loaded.missing_weights = sorted(report["missing_keys"])
    weights = loaded.state_dict()
    for name in loaded.missing_weights:
        weight = weights.get(name)
        if weight is not None and weight.is_floating_point():
            weight.fill_(torch.nan)
        elif not name.endswith("num_batches_tracked"):  # which only training reads
            raise ModelLoadError(f"its folder lacks the weight {name}")
    _forget_lengths(loaded)
    return loaded.to(device).eval()


def _forget_lengths(loaded: Any) -> None:
    """Let no pass change the ones after it: transformers keeps what it chose for a pass's length in the model.

    A short text switches BigBird and its kin to full attention for all texts after it; a long one leaves its
    frequencies to the shorter ones after it where RoPE is "dynamic".
    """

    def restore_attention(part: Any, _inputs: Any, _output: Any) -> None:
        part.set_attention_type("block_sparse")

    def restore_frequencies(part: Any, _inputs: Any, _output: Any) -> None:
        layers = part.rope_type if isinstance(part.rope_type, dict) else [None]
        for prefix in ("" if layer is None else f"{layer}_" for layer in layers):
            if getattr(part, f"{prefix}max_seq_len_cached", part.original_max_seq_len) != part.original_max_seq_len:
                kept = getattr(part, f"{prefix}inv_freq")
                original = getattr(part, f"{prefix}original_inv_freq").to(kept.device)
                part.register_buffer(f"{prefix}inv_freq", original, persistent=False)
                setattr(part, f"{prefix}max_seq_len_cached", part.original_max_seq_len)

    for part in loaded.modules():
        if isinstance(part, PreTrainedModel) and getattr(part, "attention_type", None) == "block_sparse":
            part.register_forward_hook(restore_attention, always_call=True)
        kinds = getattr(part, "rope_type", None)
        if "dynamic" in (kinds.values() if isinstance(kinds, dict) else [kinds]):
            part.register_forward_hook(restore_frequencies, always_call=True)


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
    loaded = model(spec, _auto_class(spec, config), device)
    pipeline_class = resolve_name(check_task(spec.task)[1]["impl"])
    parts: dict[str, Any] = {
        name: spec.source for name in _PARTS if getattr(pipeline_class, f"_load_{name}") is not False
    }
    has_processor = any(
        (Path(spec.source) / name).exists() for name in ("preprocessor_config.json", "processor_config.json")
    )
    if has_processor and spec.pipeline_task.media in ("image", "video"):
        parts["image_processor"] = image_processor(spec)
    return pipeline(
        spec.task,
        model=loaded,
        config=spec.source,
        device=device,
        dtype=getattr(torch, spec.dtype),
        trust_remote_code=spec.allow_unsafe,
        **parts,
    )


def _auto_class(spec: ModelSpec, config: Any) -> Any:
    """What loads models of this configuration for the task: of the task's classes the first that knows it."""
    if spec.task == "decision" and type(config) in MODEL_FOR_DECISION_MAPPING:
        return MODEL_FOR_DECISION_MAPPING[type(config)]
    code = getattr(config, "auto_map", None) or {}
    for auto_class in check_task(spec.task)[1]["pt"]:
        if type(config) in auto_class._model_mapping or auto_class.__name__ in code:
            return auto_class
    for name in config.architectures or []:
        if hasattr(transformers, name):
            return getattr(transformers, name)
    raise ModelLoadError(f"transformers has no {spec.task} for models of the type {config.model_type}")


def within_positions(spec: ModelSpec, model: Any) -> ModelSpec:
    """The spec with no more tokens than the model has positions for, where the catalogue leaves that to the model.

    Raises ModelLoadError where the catalogue says more.
    """
    most = _positions(model, model.config) if spec.pipeline_task.media in ("text", "chat", "fields") else None
    if most is None or spec.max_tokens <= most:
        return spec
    if not spec.default_tokens:
        raise ModelLoadError(f"max_tokens is {spec.max_tokens}, and the model has {most} positions")
    return replace(spec, max_tokens=most)


def label_positions(model: Any) -> int | None:
    """How many tokens of a label the model has positions for, of one that reads labels beside an image or sound."""
    return _positions(model, model.config.get_text_config())


def _positions(model: Any, config: Any) -> int | None:
    """How many tokens the model has positions for; None where its configuration sets no bound."""
    for name, part in model.named_modules():
        # RoBERTa and its kin count positions from behind the one of padding.
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            return int(part.num_embeddings) - int(part.padding_idx) - 1
    most: int | None = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if most is not None and rope.get("rope_type") == "dynamic":  # its frequencies grow with what exceeds them
        return int(most * rope.get("factor", 1.0))
    return most
