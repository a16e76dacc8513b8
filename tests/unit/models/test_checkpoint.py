"""A folder is looked at before anything in it is loaded; code and pickles are refused, and never ran."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from celery_inference.specs.errors import ModelLoadError
from models import checkpoint
from models.device_process.warmup import load
from tests.support import tiny_models
from tests.support.engines import spec

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_models.make("feature-extraction", tmp_path / "model")


def pickled(folder: Path, content: object) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._mark),)


def with_own_code(folder: Path, mark: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(
        f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\nfrom transformers import BertConfig, BertModel\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )


def test_a_pickle_is_refused_and_never_runs(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "the pickle ran"
    pickled(folder, Bomb(mark))
    with pytest.raises(ModelLoadError, match=r"weights are in pytorch_model.bin, and pickle files can run code"):
        load(spec("feature-extraction", folder), CPU)
    assert not mark.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert mark.exists(), "the pickle would have run"


def test_a_pickle_beside_safetensors_is_not_read(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "the pickle ran"
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        torch.save(Bomb(mark), folder / name)
    load(spec("feature-extraction", folder), CPU)
    assert not mark.exists()


def test_pickles_that_were_allowed_hold_tensors_and_nothing_that_runs(folder: Path, tmp_path: Path) -> None:
    from transformers import BertModel

    state = BertModel.from_pretrained(folder).state_dict()
    pickled(folder, state)
    unsafe = spec("feature-extraction", folder, allow_unsafe=True)
    assert load(unsafe, CPU)[0].stats["rows"] == 1
    mark = tmp_path / "the pickle ran"
    torch.save({**state, "more": Bomb(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match="mkdir"):
        load(unsafe, CPU)
    assert not mark.exists()


def test_code_of_a_folder_is_refused_and_never_runs_unless_it_was_allowed(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "the code ran"
    with_own_code(folder, mark)
    with pytest.raises(ModelLoadError, match=r"brings Python code along that would have to be run .*--help"):
        load(spec("feature-extraction", folder), CPU)
    assert not mark.exists()
    load(spec("feature-extraction", folder, allow_unsafe=True), CPU)
    assert mark.exists()


def test_code_beside_a_model_that_needs_none_is_not_run(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "the code ran"
    config = (folder / "config.json").read_text()
    with_own_code(folder, mark)
    (folder / "config.json").write_text(config)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text((folder / "own.py").read_text())
    load(spec("feature-extraction", folder), CPU)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"attn_implementation": "kernels-community/flash-attn3"}, "attn_implementation"),
        ({"text_config": {"_attn_implementation": {"": "someone/kernel@v1"}}}, "_attn_implementation"),
        ({"experts_implementation": "someone/kernel"}, "experts_implementation"),
    ],
)
def test_kernels_of_a_hub_are_code_too(tmp_path: Path, config: dict[str, Any], key: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    with pytest.raises(ModelLoadError, match=rf'sets {key} to ".*/.*", which is code from a hub'):
        checkpoint.check(tmp_path, allow_unsafe=False)
    checkpoint.check(tmp_path, allow_unsafe=True)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "config.json cannot be read: .*No such file"),
        ({"config.json": "{"}, "config.json cannot be read: Expecting property name"),
        ({"config.json": "[" * 100_000}, "config.json cannot be read: maximum recursion"),
        ({"config.json": "[]"}, "config.json is no JSON object"),
        ({"config.json": "{}"}, "it has no weights: model.safetensors is missing"),
        ({"config.json": "{}", "model.safetensors.index.json": "{}"}, "index.json has no weight_map"),
        (
            {"config.json": "{}", "model.safetensors.index.json": '{"weight_map": {"a": "../../etc/shadow"}}'},
            'names "../../etc/shadow", which is no file of the folder',
        ),
        (
            {
                "config.json": "{}",
                "model.safetensors.index.json": '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}',
                "1.safetensors": "",
            },
            "1 files of weights are missing, the first is 2.safetensors",
        ),
    ],
)
def test_what_is_no_model_is_said_in_one_sentence(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelLoadError, match=sentence):
        checkpoint.check(tmp_path, allow_unsafe=False)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="nowhere does not exist"):
        checkpoint.check(tmp_path / "nowhere", allow_unsafe=False)
