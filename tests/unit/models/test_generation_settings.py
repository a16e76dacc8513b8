"""What a folder's generation_config.json sets is obeyed, or refused; and a text ends as the pipeline's does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, pipeline

from celery_inference.specs.errors import ModelLoadError
from models.device_process.warmup import load
from tests.support import tiny_models
from tests.support.engines import spec
from tests.support.tiny_models import TEXTS

CPU = torch.device("cpu")
PROMPTS = TEXTS[:6]


def writer(folder: Path, **settings: Any) -> Path:
    tiny_models.make("text-generation", folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return folder


def written(folder: Path, options: dict[str, Any], **values: Any) -> list[Any]:
    """Beside each other."""
    runner, _, _ = load(spec("text-generation", folder, **values), CPU)
    answers = runner.run(PROMPTS, [options] * len(PROMPTS))
    assert all("ok" in answer for answer in answers), answers
    return [answer["ok"] for answer in answers]


def by_the_pipeline(folder: Path, **options: Any) -> list[Any]:
    pipe = pipeline("text-generation", model=str(folder), device="cpu")
    how = {"return_full_text": False, "do_sample": False, "max_new_tokens": 12, "tokenizer": pipe.tokenizer}
    return [pipe(prompt, **{**how, **options}) for prompt in PROMPTS]


@pytest.mark.parametrize(
    "settings",
    [
        {"suppress_tokens": list(range(60, 200))},
        {"repetition_penalty": 1.8},
        {"num_beams": 3, "length_penalty": 0.2},
        {"no_repeat_ngram_size": 2},
        {"min_length": 14, "eos_token_id": list(range(7, 120))},
        {"min_new_tokens": 9, "eos_token_id": list(range(7, 120))},
        {"bad_words_ids": [[number] for number in range(100, 200)]},
        {"begin_suppress_tokens": list(range(60, 200))},
        {"return_dict_in_generate": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_a_folder_sets_is_in_force(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = writer(tmp_path / "set", **settings)
    expected = by_the_pipeline(folder)
    assert written(folder, {"max_new_tokens": 12}) == expected
    if "return_dict_in_generate" not in settings:
        assert written(writer(tmp_path / "plain"), {"max_new_tokens": 12}) != expected


def test_what_a_request_says_comes_before_the_folder(tmp_path: Path) -> None:
    folder = writer(tmp_path, repetition_penalty=1.8, num_beams=2)
    options = {"repetition_penalty": 1.0, "num_beams": 1}
    assert written(folder, {"max_new_tokens": 12, **options}) == by_the_pipeline(folder, **options)


def test_sampling_settings_of_a_folder_are_in_force_when_a_request_samples(tmp_path: Path) -> None:
    folder = writer(tmp_path, do_sample=True, temperature=0.3, top_k=4)
    runner, _, _ = load(spec("text-generation", folder), CPU)
    pipe = pipeline("text-generation", model=str(folder), device="cpu", return_full_text=False)
    for prompt in PROMPTS[:3]:
        torch.manual_seed(7)
        expected = pipe(prompt, do_sample=True, max_new_tokens=12)
        (answer,) = runner.run([prompt], [{"do_sample": True, "seed": 7, "max_new_tokens": 12}])
        assert answer["ok"] == expected
    assert written(folder, {"max_new_tokens": 12}) == by_the_pipeline(folder)  # greedy, unless a request says otherwise


def test_beams_of_a_folder_are_bounded_as_those_of_a_request(tmp_path: Path) -> None:
    runner, _, _ = load(spec("text-generation", writer(tmp_path, num_beams=4), max_beam_tokens=300), CPU)
    (fits, too_many) = (runner.run(["the cat"], [{"max_new_tokens": tokens}])[0] for tokens in (75, 76))
    assert "ok" in fits
    assert too_many["sentence"] == "option max_new_tokens has 304 beams times new tokens; at most 300 are allowed"


def test_several_texts_a_prompt_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="sets num_return_sequences to 2; only 1 is served"):
        load(spec("text-generation", writer(tmp_path, num_beams=2, num_return_sequences=2)), CPU)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repetition_penalty": 1.1}, "sets repetition_penalty,"),
        ({"no_repeat_ngram_size": 2, "suppress_tokens": [5]}, "sets no_repeat_ngram_size, suppress_tokens,"),
        ({"min_p": 0.1, "temperature": 0.6}, "sets min_p,"),
    ],
)
def test_continuous_batching_refuses_what_it_would_drop(settings: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=named):
        load(spec("text-generation", writer(tmp_path, **settings), continuous="on"), CPU)


def test_sampling_settings_do_not_hinder_continuous_batching(tmp_path: Path) -> None:
    folder = writer(tmp_path, do_sample=True, temperature=0.6, top_p=0.9, repetition_penalty=1.0)
    _, stream, _ = load(spec("text-generation", folder, continuous="on"), CPU)
    assert stream is not None
    stream._loop.stop()  # type: ignore[union-attr]


@pytest.mark.parametrize("padding", [True, False])
def test_an_end_that_is_no_special_token_stays_in_the_text(padding: bool, tmp_path: Path) -> None:
    """As in the pipeline, also beside texts that are longer."""
    folder = writer(tmp_path)
    words = AutoTokenizer.from_pretrained(folder)
    pipe = pipeline("text-generation", model=str(folder), device="cpu", return_tensors=True)
    endless = by_the_pipeline(folder)
    ends = {pipe(prompt, do_sample=False, max_new_tokens=3)[0]["generated_token_ids"][-1] for prompt in PROMPTS[:3]}
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": sorted(ends)}))
    if not padding:
        words.pad_token = None
        words.save_pretrained(folder)
    expected = by_the_pipeline(folder)
    texts = [text for (text,) in expected if [text] not in endless]
    assert texts, "none ended there"
    assert all(text["generated_text"].endswith(tuple(map(words.decode, sorted(ends)))) for text in texts)
    assert written(folder, {"max_new_tokens": 12}) == expected


def test_continuous_batching_ends_a_text_as_a_padded_batch_does(tmp_path: Path) -> None:
    folder = writer(tmp_path, eos_token_id=list(range(60, 200)))
    runner, _, _ = load(spec("text-generation", folder), CPU)
    handler: Any = runner.handler
    loop = handler.continuous("greedy")
    item = handler.prepare(0, PROMPTS[1], runner.with_defaults({"max_new_tokens": 12}))
    loop.join("one", item.value["input_ids"], item.options)
    tokens = next(iter(loop.written())).tokens
    loop.stop()
    assert [handler.finish(tokens, item)] == by_the_pipeline(folder)[1:2]


def test_a_folder_s_prefix_is_put_before_a_text(tmp_path: Path) -> None:
    folder = tiny_models.make("text-generation", tmp_path, prefix="the old dog ")
    assert written(folder, {"max_new_tokens": 12}) == by_the_pipeline(folder)


def test_stop_strings_of_a_folder_end_a_text(tmp_path: Path) -> None:
    """The pipeline raises at them unless it is handed its own tokenizer once more."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    folder = writer(tmp_path, stop_strings=["o", "ea"])
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=230, special_tokens=special, show_progress=False))
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", eos_token="[EOS]").save_pretrained(folder)
    expected = by_the_pipeline(folder)
    assert any(entry["generated_text"].endswith(("o", "ea")) for (entry,) in expected)
    assert written(folder, {"max_new_tokens": 12}) == expected
