"""A label with more tokens than the model reads is the caller's fault, and is neither cut nor runs into the model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.device_process.warmup import load
from tests.support import samples, tiny_models
from tests.support.engines import spec

CPU = torch.device("cpu")


def siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    words = tiny_models.tokenizer(folder)
    text = {**small, "vocab_size": len(words), "max_position_embeddings": 64}
    torch.manual_seed(20)
    SiglipModel(
        SiglipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 8})
    ).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def runs(folder: Path, task: str, words: int) -> dict[str, Any]:
    runner, _, _ = load(spec(task, folder), CPU)
    labels = ["the dog", " ".join(["cat"] * words)]
    (answer,) = runner.run([samples.value(task, 1)], [{**samples.OPTIONS[task], "candidate_labels": labels}])
    return answer


# Each model's positions; the template has words of its own, and the tokenizer puts two tokens around them.
CASES = [
    ("zero-shot-image-classification", 128, 6),
    ("zero-shot-object-detection", 128, 0),
    ("zero-shot-audio-classification", 128, 6),
]


@pytest.mark.parametrize(("task", "most", "around"), CASES)
def test_a_label_of_too_many_tokens_is_refused_with_their_number(
    tmp_path: Path, task: str, most: int, around: int
) -> None:
    folder = tiny_models.make(task, tmp_path)
    assert "ok" in runs(folder, task, most - around - 2)
    refused = runs(folder, task, most - around - 1)
    assert refused["error"] == "InvalidInput"
    assert (
        refused["sentence"] == f"option candidate_labels has {most + 1} tokens in a label; at most {most} are allowed"
    )


def test_a_label_that_the_pipeline_would_cut_is_refused(tmp_path: Path) -> None:
    folder = siglip(tmp_path)
    assert "ok" in runs(folder, "zero-shot-image-classification", 50)
    refused = runs(folder, "zero-shot-image-classification", 100)
    assert refused["error"] == "InvalidInput"
    assert "at most 64 are allowed" in refused["sentence"]
