"""A folder that lacks weights, and a model whose numbers are none, give no answer: random ones would look like any."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from celery_inference.specs.errors import ModelLoadError
from models.device_process.warmup import load
from models.handlers.common import finite
from tests.support import tiny_models
from tests.support.engines import spec

CPU = torch.device("cpu")


def without(folder: Path, *beginnings: str) -> Path:
    """The same folder, without the weights whose names begin so."""
    file = folder / "model.safetensors"
    kept = {name: weight for name, weight in load_file(file).items() if not name.startswith(beginnings)}
    save_file(kept, file, metadata={"format": "pt"})
    return folder


def spoiled(folder: Path, name: str, row: int, value: float) -> Path:
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights[name][row] = value
    save_file(weights, file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("task", "lacks", "named"),
    [
        ("text-classification", "classifier", "classifier.bias, classifier.weight"),
        ("text-classification", "bert.pooler", "bert.pooler.dense.bias"),
        ("zero-shot-classification", "classifier", "classifier.weight"),
        ("token-classification", "classifier", "classifier.weight"),
        ("fill-mask", "cls.predictions.transform", "cls.predictions.transform.LayerNorm.bias"),
        ("text-generation", "lm_head", "lm_head.weight"),
        ("feature-extraction", "encoder.layer.1.output", "encoder.layer.1.output.LayerNorm.bias"),
        ("image-classification", "classifier", "classifier"),
        ("automatic-speech-recognition", "lm_head", "lm_head"),
        ("object-detection", "class_labels_classifier", "class_labels_classifier"),
        ("decision", "lm_head", "lm_head.weight"),
    ],
)
def test_missing_weights_that_the_task_uses_end_the_loading_with_their_names(
    task: str, lacks: str, named: str, tmp_path: Path
) -> None:
    folder = without(tiny_models.make(task, tmp_path), lacks)
    with pytest.raises(ModelLoadError, match=f"lacks weights that {task} uses: .*{named}"):
        load(spec(task, folder), CPU)


@pytest.mark.parametrize(
    ("saved", "served"),
    [("feature-extraction", "text-classification"), ("feature-extraction", "token-classification")],
)
def test_a_bare_encoder_is_no_classifier(saved: str, served: str, tmp_path: Path) -> None:
    folder = tiny_models.make(saved, tmp_path)
    with pytest.raises(ModelLoadError, match=f"lacks weights that {served} uses: classifier.bias, classifier.weight"):
        load(spec(served, folder), CPU)


def test_weights_that_the_task_does_not_use_may_be_missing(tmp_path: Path) -> None:
    whole = tiny_models.make("feature-extraction", tmp_path / "whole")
    poolerless = without(tiny_models.make("feature-extraction", tmp_path / "poolerless"), "pooler")
    answers = [
        load(spec("feature-extraction", folder), CPU)[0].run(["the dog"], [{}]) for folder in (whole, poolerless)
    ]
    assert answers[0] == answers[1]
    assert "ok" in answers[0][0]


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    folder = tiny_models.make("text-generation", tmp_path, tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    runner, _, _ = load(spec("text-generation", folder), CPU)
    assert "ok" in runner.run(["the dog"], [{}])[0]


def token(folder: Path, word: str) -> int:
    from transformers import AutoTokenizer

    return int(AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(word))


@pytest.mark.parametrize(
    ("task", "weights"),
    [
        ("feature-extraction", "embeddings.word_embeddings.weight"),
        ("text-classification", "bert.embeddings.word_embeddings.weight"),
        ("token-classification", "bert.embeddings.word_embeddings.weight"),
        ("zero-shot-classification", "bert.embeddings.word_embeddings.weight"),
        ("text-generation", "model.embed_tokens.weight"),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_input_whose_result_is_no_number_fails_alone(task: str, weights: str, value: float, tmp_path: Path) -> None:
    folder = tiny_models.make(task, tmp_path)
    texts = ["the cat sings", "the fish", "a bird"]
    options: list[dict[str, Any]] = [{"candidate_labels": ["old", "young"]} if "zero" in task else {}] * 3
    before = load(spec(task, folder), CPU)[0].run(texts, options)
    spoiled(folder, weights, token(folder, "fish"), value)
    after = load(spec(task, folder), CPU)[0].run(texts, options)
    assert "not a number" in after[1]["sentence"]
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_model_whose_own_example_gives_no_number_is_not_served(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    spoiled(folder, "classifier.weight", 0, math.inf)
    with pytest.raises(ModelLoadError, match=r"its example fails: .*not a number"):
        load(spec("text-classification", folder), CPU)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        {"score": math.inf},
        [{"scores": [0.5, -math.inf]}],
        [1.0, math.nan],
        [[1.0], [1.0, math.nan]],
        torch.tensor([1.0, math.nan]),
        [1.0, {"box": (1, math.nan)}],
    ],
)
def test_no_number_is_found_at_any_depth(value: Any) -> None:
    with pytest.raises(finite.NotANumberError):
        finite.check(value)


@pytest.mark.parametrize("value", [None, "nan", 1, [1.0, 2.0], [1e308, 1e308], {"a": [True, "x"]}, torch.tensor([1])])
def test_numbers_and_what_is_none_pass(value: Any) -> None:
    finite.check(value)
