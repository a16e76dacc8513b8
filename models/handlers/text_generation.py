"""text-generation: what the model writes after a prompt, or answers to a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, TextGenerationPipeline

from celery_inference.specs.errors import InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import finite, from_pretrained, generation_settings, tokenization
from models.handlers.common.continuous_generation import ContinuousGeneration

_SAMPLING = ("temperature", "top_p", "top_k")


class TextGeneration(Handler):
    """Result: `[{"generated_text": …}]`, the new text alone.

    A model with a chat template answers: a text is its user's message. One without goes on writing. A chat that ends
    with the assistant's message has that message continued, as the pipeline does. Prompts are
    padded on the left; a batch stops when its last row has ended, so its options that shape it are equal.
    The folder's generation_config.json holds where neither request nor catalogue says otherwise; not its `do_sample`
    and its lengths, which have defaults of their own.
    """

    example = "Name one planet."
    lengths = ("Name.", Handler.example)

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = from_pretrained.tokenizer(spec)
        self.model = from_pretrained.model(spec, AutoModelForCausalLM, device)
        finite.watch(self.model)
        self._positions: int | None = getattr(self.model.config, "max_position_embeddings", None)
        generation_settings.check(self.model.generation_config)
        ends = self.model.generation_config.eos_token_id
        self._ends: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        self._prefix = _prefix(self.model)
        if self._tokenizer.chat_template:  # whose end says that the model is to answer, and would be cut
            self.unused_options = frozenset({"truncation"})
        self.equal_lengths = generation_settings.counts_padding(self.model.generation_config)

    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        options = generation_settings.with_own(self.model.generation_config, options)
        beams = options["num_beams"] * options["max_new_tokens"]
        if beams > self.spec.max_beam_tokens:
            raise InvalidInput.too_large(
                "option max_new_tokens", beams, self.spec.max_beam_tokens, "beams times new tokens"
            )
        chat = [{"role": "user", "content": value}] if isinstance(value, str) else value
        if self._tokenizer.chat_template:
            begun = chat[-1]["role"] == "assistant"
            prompt = self._tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
            )
            # The template writes the special tokens itself.
            encoding = tokenization.encode(self.spec, self._tokenizer, prompt, add_special_tokens=False)
        elif isinstance(value, str):
            encoding = tokenization.encode(self.spec, self._tokenizer, self._prefix + value, cut=options["truncation"])
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
            return_dict_in_generate=False,
            tokenizer=self._tokenizer,  # for the stop strings of a folder
            **sampling,
        )
        return [self._own(row) for row in written[:, batch["input_ids"].shape[1] :].tolist()]

    @torch.inference_mode()
    def probed(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        batch = tokenization.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device, left=True)
        written = self.model.generate(
            **batch,
            max_new_tokens=1,
            min_new_tokens=0,
            num_beams=1,
            do_sample=False,
            tokenizer=self._tokenizer,
            pad_token_id=self._tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return list(written.logits[0].float().cpu())

    def continuous(self, mode: str) -> ContinuousGeneration:
        if dropped := generation_settings.no_joining(self.model.generation_config):
            raise ModelLoadError(
                f"continuous is on, and its generation_config.json sets {', '.join(dropped)}, which continuous batching"
                ' does not know; set continuous = "off"'
            )
        if self.equal_lengths:
            raise ModelLoadError(
                'continuous is on, and this model\'s answers change beside longer texts; set continuous = "off"'
            )
        return ContinuousGeneration(self.spec, self.model, self._ends, mode)

    def finish(self, output: list[int], item: Prepared) -> Any:
        return [{"generated_text": self._tokenizer.decode(output, skip_special_tokens=True)}]

    def _own(self, ids: list[int]) -> list[int]:
        """To the row's own end, which the text shows where it is no special token; what follows is padding."""
        end = next((place for place, token in enumerate(ids) if token in self._ends), len(ids))
        return ids[: end + 1]


def _prefix(model: Any) -> str:
    """What the pipeline puts before a text of this model."""
    own: str | None = getattr(model.config, "prefix", None)
    if own is None and type(model).__name__ == "XLNetLMHeadModel":
        return str(TextGenerationPipeline.XL_PREFIX)
    return own or ""


def _parts(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """Which items share a pass. One generator draws for all rows of a pass, so that a seed holds for a row alone."""
    options = items[0].options
    alone = options["do_sample"] and options["seed"] is not None
    return [[item] for item in items] if alone else [list(items)]


HANDLER = TextGeneration
