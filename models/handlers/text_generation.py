"""text-generation: what the model writes after a prompt, or answers to a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import finite, from_pretrained, tokenization
from models.handlers.common.continuous_generation import ContinuousGeneration

_SAMPLING = ("temperature", "top_p", "top_k")


class TextGeneration(Handler):
    """Result: `[{"generated_text": …}]`, the new text alone.

    A model with a chat template answers: a text is its user's message. One without goes on writing. A chat that ends
    with the assistant's message has that message continued, as the pipeline does. Prompts are
    padded on the left; a batch stops when its last row has ended, so its options that shape it are equal.
    """

    example = "Name one planet."
    lengths = ("Name.", Handler.example)

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = from_pretrained.tokenizer(spec)
        self.model = from_pretrained.model(spec, AutoModelForCausalLM, device)
        finite.watch(self.model)
        self._positions: int | None = getattr(self.model.config, "max_position_embeddings", None)
        # Sampling settings that a folder brings along would be another default than the spec's.
        own: GenerationConfig = self.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        self._ends: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        self.model.generation_config = GenerationConfig(bos_token_id=own.bos_token_id, eos_token_id=ends)

    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        chat = [{"role": "user", "content": value}] if isinstance(value, str) else value
        if self._tokenizer.chat_template:
            begun = chat[-1]["role"] == "assistant"
            prompt = self._tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
            )
            # The template writes the special tokens itself.
            encoding = tokenization.encode(self.spec, self._tokenizer, prompt, add_special_tokens=False)
        elif isinstance(value, str):
            encoding = tokenization.encode(self.spec, self._tokenizer, value)
        else:
            raise InvalidInput.because("inputs", "is a chat, and this model has no chat template; give a text")
        encoding.pop("token_type_ids", None)
        whole = len(encoding["input_ids"]) + options["max_new_tokens"]
        if self._positions is not None and whole > self._positions:
            raise InvalidInput.too_large("inputs", whole, self._positions, "tokens, max_new_tokens included")
        words = "\n".join(message["content"] for message in chat)
        return Prepared(row, encoding, len(encoding["input_ids"]) * options["num_beams"], options, words)

    def forward(self, items: Sequence[Prepared]) -> Sequence[list[int]]:
        written: dict[int, list[int]] = {}
        for part in _parts(items):
            written |= zip((item.row for item in part), self._pass(part), strict=True)
        return [written[item.row] for item in items]

    @torch.inference_mode()
    def _pass(self, items: Sequence[Prepared]) -> list[list[int]]:
        """One padded pass: for each item the tokens that it adds."""
        options = items[0].options
        batch = tokenization.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device, left=True)
        if options["seed"] is not None:
            torch.manual_seed(options["seed"])
        sampling = {name: options[name] for name in _SAMPLING} if options["do_sample"] else {}
        written = self.model.generate(
            **batch,
            max_new_tokens=options["max_new_tokens"],
            do_sample=options["do_sample"],
            num_beams=options["num_beams"],
            repetition_penalty=options["repetition_penalty"],
            pad_token_id=self._tokenizer.pad_token_id,
            **sampling,
        )
        return [self._own(row) for row in written[:, batch["input_ids"].shape[1] :].tolist()]

    @torch.inference_mode()
    def probed(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        batch = tokenization.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device, left=True)
        written = self.model.generate(
            **batch,
            max_new_tokens=1,
            do_sample=False,
            pad_token_id=self._tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return list(written.logits[0].float().cpu())

    def continuous(self, mode: str) -> ContinuousGeneration:
        return ContinuousGeneration(self.spec, self.model, self._ends, mode)

    def finish(self, output: list[int], item: Prepared) -> Any:
        return [{"generated_text": self._tokenizer.decode(output, skip_special_tokens=True)}]

    def _own(self, ids: list[int]) -> list[int]:
        """Up to the row's own end; what follows is padding."""
        end = next((place for place, token in enumerate(ids) if token in self._ends), len(ids))
        return ids[:end]


def _parts(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """Which items share a pass. One generator draws for all rows of a pass, so that a seed holds for a row alone."""
    options = items[0].options
    alone = options["do_sample"] and options["seed"] is not None
    return [[item] for item in items] if alone else [list(items)]


HANDLER = TextGeneration
