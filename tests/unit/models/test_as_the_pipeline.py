"""What models of uncommon settings answer is what `transformers.pipeline` answers to one input alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BigBirdConfig,
    BigBirdForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    pipeline,
)

from celery_inference.specs.errors import ModelLoadError
from models.device_process.warmup import load
from tests.support import tiny_models
from tests.support.engines import spec

CPU = torch.device("cpu")
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_labels": 3,
    "initializer_range": 0.5,
}


def saved(folder: Path, model_class: Any, config_class: Any, **settings: Any) -> Path:
    torch.manual_seed(20)
    words = tiny_models.tokenizer(folder)
    if settings.get("pad_token_id", 0) is None:
        words.pad_token = None
        words.save_pretrained(folder)
    model_class(config_class(vocab_size=len(words), **SIZES, **settings)).save_pretrained(folder)
    return folder


def test_a_decoder_that_classifies_without_a_padding_token_does_not_take_an_end_for_padding(tmp_path: Path) -> None:
    folder = saved(tmp_path, LlamaForSequenceClassification, LlamaConfig, pad_token_id=None, eos_token_id=6)
    texts = ["the cat sleeps[EOS]", "the cat sleeps", "a dog[EOS][EOS]", "the old bird sings and the fish waits"]
    runner, _, _ = load(spec("text-classification", folder), CPU)
    answers = runner.run(texts, [{"top_k": 3}] * len(texts))
    classify = pipeline("text-classification", model=str(folder), top_k=3)
    for text, answer in zip(texts, answers, strict=True):
        (expected,) = classify([text])
        assert [score["label"] for score in answer["ok"]] == [score["label"] for score in expected]
        assert [score["score"] for score in answer["ok"]] == pytest.approx(
            [score["score"] for score in expected], abs=1e-5
        )


def test_a_pair_of_texts_is_classified_as_the_pipeline_does_beside_others(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    inputs = [
        {"text": "the cat sleeps", "text_pair": "a dog runs over the river"},
        "the old bird sings",
        {"text": "the old bird sings", "text_pair": "the fish"},
        {"text": "the fish", "text_pair": "the old bird sings"},
    ]
    runner, _, _ = load(spec("text-classification", folder), CPU)
    answers = runner.run(inputs, [{"top_k": 3}] * len(inputs))
    classify = pipeline("text-classification", model=str(folder), top_k=3)
    for value, answer in zip(inputs, answers, strict=True):
        (expected,) = classify([value])
        assert [score["label"] for score in answer["ok"]] == [score["label"] for score in expected]
        assert [score["score"] for score in answer["ok"]] == pytest.approx(
            [score["score"] for score in expected], abs=1e-5
        )
    assert answers[2]["ok"] != answers[3]["ok"], "the order of the two matters"


def test_positions_that_begin_behind_the_padding_s_are_fewer(tmp_path: Path) -> None:
    folder = saved(
        tmp_path, RobertaForSequenceClassification, RobertaConfig, max_position_embeddings=34, pad_token_id=1
    )
    with pytest.raises(ModelLoadError, match="max_tokens is 33, and the model has 32 positions"):
        load(spec("text-classification", folder, max_tokens=33), CPU)
    runner, _, _ = load(spec("text-classification", folder, max_tokens=32), CPU)
    words = ["cat " * count for count in (30, 31)]  # and two special tokens
    fits, too_long = runner.run(words, [{}] * 2)
    assert "ok" in fits
    assert too_long["sentence"] == "inputs has 33 tokens; at most 32 are allowed"


def test_a_model_of_few_positions_bounds_the_tokens_that_the_catalogue_leaves_open(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    runner, _, _ = load(spec("text-classification", folder, max_tokens=512, default_tokens=True), CPU)
    fits, too_long = runner.run(["cat " * 126, "cat " * 127], [{}] * 2)
    assert "ok" in fits
    assert too_long["sentence"] == "inputs has 129 tokens; at most 128 are allowed"


def test_a_chat_that_ends_with_the_assistant_s_message_is_continued(tmp_path: Path) -> None:
    folder = tiny_models.make("text-generation", tmp_path, chat=True)
    chat = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "the dog"}]
    runner, _, _ = load(spec("text-generation", folder), CPU)
    begun, whole = runner.run([chat, chat[:1]], [{"max_new_tokens": 8}] * 2)
    write = pipeline("text-generation", model=str(folder))
    message = write(chat, do_sample=False, max_new_tokens=8)[0]["generated_text"][-1]["content"]
    assert message == "the dog" + begun["ok"][0]["generated_text"]
    assert begun != whole


def test_an_adapter_beside_full_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match=r"adapter_config.json beside weights of its own"):
        load(spec("text-classification", folder), CPU)


LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [8.0] * 4}
TURNED = {
    "longrope": {
        "max_position_embeddings": 128,
        "rope_parameters": LONGROPE | {"original_max_position_embeddings": 32},
    },
    "dynamic": {
        "max_position_embeddings": 32,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 8.0},
    },
}


def turned(folder: Path, kind: str) -> Path:
    return saved(folder, LlamaForSequenceClassification, LlamaConfig, pad_token_id=0, **TURNED[kind])


@pytest.mark.parametrize("kind", TURNED)
def test_a_long_text_does_not_turn_the_positions_of_shorter_ones_beside_it_and_after_it(
    tmp_path: Path, kind: str
) -> None:
    folder = turned(tmp_path, kind)
    # Of more than 32 tokens, of more still, and short; the longest was run at loading, too.
    texts = ["the cat sleeps and the dog runs", "the old bird sings " * 14, "the old bird sings " * 9, "the cat"]
    runner, _, _ = load(spec("text-classification", folder, max_tokens=100), CPU)
    answers = [answer for _ in range(2) for answer in runner.run(texts, [{"top_k": 3}] * len(texts))]
    for text, answer in zip(texts * 2, answers, strict=True):
        (expected,) = pipeline("text-classification", model=str(folder), top_k=3)([text])
        scores = {score["label"]: score["score"] for score in expected}
        assert {score["label"]: score["score"] for score in answer["ok"]} == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("kind", TURNED)
def test_only_texts_that_may_turn_positions_need_equal_lengths(tmp_path: Path, kind: str) -> None:
    folder = turned(tmp_path, kind)
    limits = {32: False, 33: True}
    runners = {most: load(spec("text-classification", folder, max_tokens=most), CPU)[0] for most in limits}
    assert {most: runner.equal_lengths for most, runner in runners.items()} == limits


def test_a_short_text_does_not_switch_the_attention_of_a_long_one(tmp_path: Path) -> None:
    folder = saved(
        tmp_path,
        BigBirdForSequenceClassification,
        BigBirdConfig,
        pad_token_id=0,
        block_size=4,
        num_random_blocks=1,
        max_position_embeddings=128,
    )
    texts = ["the cat sleeps", "the old bird sings and the fish waits " * 10]
    runner, _, _ = load(spec("text-classification", folder), CPU)
    answers = runner.run(texts, [{"top_k": 3}] * len(texts))
    for text, answer in zip(texts, answers, strict=True):
        (expected,) = pipeline("text-classification", model=str(folder), top_k=3)([text])
        scores = {score["label"]: score["score"] for score in expected}
        assert {score["label"]: score["score"] for score in answer["ok"]} == pytest.approx(scores, abs=1e-5)
