"""What a folder may hold is decided where it is loaded."""

from pathlib import Path

import pytest
import torch

from celery_inference.specs.errors import ModelLoadError
from models.device_process.warmup import load
from tests.support import tiny_models
from tests.support.engines import spec

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make("feature-extraction", tmp_path_factory.mktemp("model"))


def test_a_model_is_loaded_and_warm(folder: Path) -> None:
    runner, _, facts = load(spec("feature-extraction", folder), CPU)
    assert facts["dtype"] == "float32"
    assert runner.stats["rows"] == 1


def test_a_limit_beyond_the_models_positions_is_refused(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="max_tokens is 4096, and the model has 128 positions"):
        load(spec("feature-extraction", folder, max_tokens=4096), CPU)


def test_an_example_that_fails_is_a_model_that_cannot_be_loaded(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"its example fails: inputs has \d+ tokens; at most 3"):
        load(spec("feature-extraction", folder, max_tokens=3), CPU)


def test_zero_shot_needs_a_model_of_entailment(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    with pytest.raises(ModelLoadError, match='none of the labels negative, neutral, positive begins with "entail"'):
        load(spec("zero-shot-classification", folder), CPU)


def test_beams_are_searched_as_the_pipeline_does(tmp_path: Path) -> None:
    from transformers import pipeline

    folder = tiny_models.make("text-generation", tmp_path)
    runner, _, _ = load(spec("text-generation", folder), CPU)
    options = {"num_beams": 3, "max_new_tokens": 12}
    (answer,) = runner.run(["the cat sings"], [options])
    generate = pipeline("text-generation", model=str(folder), return_full_text=False)
    assert answer["ok"] == generate("the cat sings", do_sample=False, **options)


def test_a_model_of_spectrograms_is_refused_before_a_vocoder_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "speecht5", "architectures": ["SpeechT5ForTextToSpeech"]}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="it gives spectrograms"):
        load(spec("text-to-audio", tmp_path), CPU)


def test_a_pipelines_limit_beyond_the_models_positions_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.make("fill-mask", tmp_path)
    with pytest.raises(ModelLoadError, match="max_tokens is 4096, and the model has 128 positions"):
        load(spec("fill-mask", folder, max_tokens=4096), CPU)
