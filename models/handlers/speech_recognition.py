"""automatic-speech-recognition: what is said, by models of frames (CTC) and by models that write (Whisper, others)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import finite, from_pretrained
from models.handlers.common.json_values import plain
from models.media import audio

_STEPS_A_SECOND = 50  # what speech models make of a second: lengths are counted in them, as if they were tokens


class SpeechRecognition(Handler):
    """Result: `{"text"}`, and `"chunks"` with their seconds when timestamps are asked for.

    Features are made and padded here; the pass and the reading of its tokens are the pipeline's own steps.
    """

    example = audio.sample()
    lengths = (audio.sample(0.5), audio.sample(1.6))

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._pipe = from_pretrained.pipe(spec, device)
        self.model = self._pipe.model
        if self._pipe.type != "ctc":  # the rows of a padded pass are cut, and looked at, below
            finite.watch(self.model)
        self._extractor = self._pipe.feature_extractor
        self._is_ctc = self._pipe.type == "ctc"
        if self._is_ctc:
            self.unused_options = frozenset({"language", "task", "max_new_tokens"})
        elif self._pipe.type != "seq2seq_whisper" or not _speaks_many(self.model):
            self.unused_options = frozenset({"language", "task"})
        # Longer recordings are heard window by window, which is the model's own loop and not for batches.
        self._window = getattr(self._extractor, "n_samples", None) if self._pipe.type == "seq2seq_whisper" else None

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        self._check(options)
        rate = self._extractor.sampling_rate
        samples = audio.decode("inputs", value, rate, self.spec.max_seconds)
        long = self._window is not None and len(samples) > self._window
        how = {"truncation": False, "padding": "longest"} if long else {}
        features = self._extractor(samples, sampling_rate=rate, return_attention_mask=True, return_tensors="np", **how)
        features = {name: array[0] for name, array in features.items()}
        size = len(features["attention_mask"])
        if self._is_ctc and self._steps(size) < 1:
            raise InvalidInput.because("inputs", "is too short to be heard", limit=1)
        heard = max(len(samples), self._window or 0)
        return Prepared(row, features, max(1, round(heard / rate * _STEPS_A_SECOND)), options, size=size)

    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        outputs: dict[int, torch.Tensor] = {}
        usual = [item for item in items if not self._is_long(item)]
        for part in [usual, *([item] for item in items if self._is_long(item))]:
            if part:
                outputs |= dict(zip((id(item) for item in part), self._pass(part), strict=True))
        return [outputs[id(item)] for item in items]

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        tokens = output.argmax(-1) if self._is_ctc else output
        answer = self._pipe.postprocess([{"tokens": tokens}], return_timestamps=self._stamps(item.options))
        return plain({name: value for name, value in answer.items() if name in ("text", "chunks")})

    @torch.inference_mode()
    def _pass(self, items: Sequence[Prepared]) -> list[torch.Tensor]:
        """One padded pass: for each item its logits (1, steps, letters) float32, or its tokens (1, steps) int64."""
        batch = self._extractor.pad(
            [item.value for item in items], padding=True, return_attention_mask=True, return_tensors="pt"
        ).to(self._pipe.dtype)
        if self._is_ctc:
            logits = self._pipe.model(**batch.to(self.device)).logits.float().cpu()
            return [row[:, : self._steps(item.size)] for row, item in zip(logits.split(1), items, strict=True)]
        options = items[0].options
        how = {name: options[name] for name in ("language", "task", "max_new_tokens") if options[name] is not None}
        stamps = self._stamps(options) or (True if self._is_long(items[0]) else None)
        if stamps is not None:
            how["return_timestamps"] = stamps
        tokens = self._pipe.forward({**batch, "is_last": True}, **how)["tokens"]
        return list(tokens.split(1))

    def _steps(self, size: int) -> int:
        """How many steps a CTC model makes of so many samples or frames."""
        count = getattr(self._pipe.model, "_get_feat_extract_output_lengths", None)
        return int(count(torch.tensor(size))) if count is not None else size

    def _is_long(self, item: Prepared) -> bool:
        return self._window is not None and item.size > self._window // self._extractor.hop_length

    def _stamps(self, options: dict[str, Any]) -> str | bool | None:
        """The option as the pipeline wants it."""
        given = options["return_timestamps"]
        return True if given == "segment" else given

    def _check(self, options: dict[str, Any]) -> None:
        stamps, whisper = options["return_timestamps"], self._pipe.type == "seq2seq_whisper"
        allowed = ("char", "word") if self._is_ctc else ("segment",) if whisper else ()
        if stamps is not None and stamps not in allowed:
            raise InvalidInput.because("option return_timestamps", f"of this model is {' or '.join(allowed) or 'none'}")
        languages = getattr(self._pipe.model.generation_config, "lang_to_id", None) if whisper else None
        given = options["language"]
        if given is not None and f"<|{TO_LANGUAGE_CODE.get(given.lower(), given)}|>" not in (languages or {}):
            known = [language.strip("<|>") for language in languages or {}]
            raise InvalidInput.unknown("option language", given, known)


def _speaks_many(model: Any) -> bool:
    """Whether a Whisper model can be told a language; those of English alone take neither that nor a task."""
    return bool(getattr(model.generation_config, "is_multilingual", True))


HANDLER = SpeechRecognition
