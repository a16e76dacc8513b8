"""What a model's folder says about writing (generation_config.json), where a request and the catalogue say nothing.

`generate` itself obeys the folder, as it does in transformers' pipeline; here is what concerns more than one row.
"""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig

from celery_inference.specs.errors import ModelLoadError

# The options that a folder may set too, and what holds where it does not.
_OPTIONS: dict[str, float | int] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "num_beams": 1,
    "repetition_penalty": 1.0,
}
# What says nothing about which token comes next, or what a request's own options always replace.
_SAYS_NOTHING = {"transformers_version", "use_cache", "cache_implementation", "max_length", "max_new_tokens"}
_SAYS_NOTHING |= {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "do_sample"}
_SAYS_NOTHING |= {"return_dict_in_generate", "early_stopping", "length_penalty", "is_assistant"}
# What rows that join each other may each have, as `continuous_generation` gives it to them.
_JOINABLE = {"temperature", "top_p", "top_k"}
_NEUTRAL_AT_ONE = {"num_beams", "repetition_penalty", "typical_p", "top_h", "guidance_scale", "num_return_sequences"}


def with_own(own: GenerationConfig, options: dict[str, Any]) -> dict[str, Any]:
    """The options, with the folder's where neither the request nor the catalogue gives one."""
    values = dict(options)
    for name, neutral in _OPTIONS.items():
        if values.get(name) is None:
            found = getattr(own, name, None)
            values[name] = neutral if found is None else type(neutral)(found)
    return values


def check(own: GenerationConfig) -> None:
    """Raises ModelLoadError for what has no place in the result: more than one text a prompt."""
    if (own.num_return_sequences or 1) > 1:
        raise ModelLoadError(
            f"its generation_config.json sets num_return_sequences to {own.num_return_sequences}; only 1 is served"
        )


def counts_padding(own: GenerationConfig) -> bool:
    """Whether it sets what counts a padded row's tokens with the padding: then only equal lengths share a pass."""
    return bool(own.min_length)


def no_joining(own: GenerationConfig) -> list[str]:
    """The names of what it sets and continuous batching would drop."""
    return sorted(
        name
        for name, value in own.to_diff_dict().items()
        if not name.startswith(("_", "output_"))
        and name not in _SAYS_NOTHING | _JOINABLE
        and value not in (None, 0, [], {})
        and not (name in _NEUTRAL_AT_ONE and value == 1)
    )
