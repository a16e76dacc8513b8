"""`celery-inference models check NAME` loads a model through the engine and says what that took, or why it failed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tasks.execution.engine_factory import specs
from tests.support import tiny_models

ROOT = Path(__file__).resolve().parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
# An interpreter that starts with this in its path can look up and reach nothing; what it tried is noted.
NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    with open({log!r}, "a") as log:
        log.write(f"{{event}} {{host}}\\n")
    raise OSError(f"the test refuses {{event}} to {{host}}")

sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make("text-classification", tmp_path_factory.mktemp("model"))


def run(tmp_path: Path, table: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(f"[tiny]\ntask = 'text-classification'\nmax_tokens = 100\n{table}\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "celery_inference", "models", "check", "tiny", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "CELERY_INFERENCE_CATALOGUE": str(catalogue),
            "CELERY_INFERENCE_DEVICES": "cpu",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=240,
    )


def without_network(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment in which Python reaches nothing, and the file where attempts are noted."""
    log = tmp_path / "asked for"
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_NETWORK.format(log=str(log)))
    return {"PYTHONPATH": str(folder)}, log


def test_a_cached_snapshot_is_checked_without_network(tmp_path: Path, classifier: Path) -> None:
    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / REVISION
    shutil.copytree(classifier, snapshot)
    environment, log = without_network(tmp_path)
    table = (
        f"source = 'someone/tiny'\nrevision = '{REVISION}'\nexample = 'the cat sings'\nexample_options = {{top_k = 2}}"
    )
    ended = run(tmp_path, table, "--json", HF_HOME=str(tmp_path), **environment)
    assert ended.returncode == 0, ended.stderr
    assert not log.exists(), log.read_text()
    report: dict[str, Any] = json.loads(ended.stdout)
    assert (report["source"], report["revision"], report["dtype"]) == ("someone/tiny", REVISION, "float32")
    assert (report["ok"], report["device"], len(report["result"])) == (True, "cpu", 2)
    assert report["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert min(report[f"{what}_seconds"] for what in ("load", "warm", "run")) > 0
    memory = report["memory"]
    assert memory["peak_bytes"] >= memory["weights_bytes"] > 0
    assert memory["process_bytes"] > 50_000_000


def test_the_guard_against_network_sees_and_stops_a_look_up(tmp_path: Path) -> None:
    environment, log = without_network(tmp_path)
    program = "import urllib.request; urllib.request.urlopen('http://huggingface.co', timeout=5)"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    assert ended.returncode == 1
    assert "huggingface.co" in log.read_text()


def test_more_memory_than_the_budget_is_a_failure(tmp_path: Path, classifier: Path) -> None:
    ended = run(tmp_path, f"source = '{classifier}'\nmemory_bytes = 1000", "--json")
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert (report["ok"], report["error"]) == (False, "ModelLoadError")
    assert "bytes of cpu; its memory_bytes allows 1,000" in report["sentence"]


def test_allow_unsafe_says_what_it_does_and_lets_the_code_run(tmp_path: Path, classifier: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "the code ran"
    shutil.copytree(classifier, folder)
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": code}))
    (folder / "own.py").write_text(
        f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n"
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertForSequenceClassification):\n    config_class = OwnConfig\n"
    )
    refused = run(tmp_path, f"source = '{folder}'")
    assert refused.returncode == 1
    assert "its folder brings Python code along that would have to be run" in refused.stderr
    assert not mark.exists()
    ended = run(tmp_path, f"source = '{folder}'", "--allow-unsafe", HF_HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert mark.exists()
    assert "--allow-unsafe: weights are read from pickle files as well" in ended.stderr
    assert "is run with all rights of the process" in ended.stderr
    assert "example runs in" in ended.stdout


def test_tune_measures_and_a_worker_on_such_a_device_uses_it(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.toml"
    writer = tiny_models.make("text-generation", tmp_path / "writer")
    catalogue.write_text(f"[writer]\ntask = 'text-generation'\nmax_tokens = 100\nsource = '{writer}'\n")
    environment = {
        "CELERY_INFERENCE_CATALOGUE": str(catalogue),
        "CELERY_INFERENCE_DEVICES": "cpu",
        "CELERY_INFERENCE_STATE": str(tmp_path / "state"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "celery_inference", "models", "tune", "--seconds", "3", "--json"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    (wrote,) = json.loads(done.stdout)
    assert str(wrote["batch_size"]) in wrote["row_milliseconds"]
    assert set(wrote["tokens_per_second"]) == {"padded", "continuous"}
    assert min(wrote["tokens_per_second"].values()) > 0
    conf = SimpleNamespace(
        inference_catalogue=str(catalogue),
        broker_transport_options={},
        inference_models=(),
        inference_allow_unsafe=(),
        inference_devices="cpu",
        inference_visible_devices=None,
        inference_state=str(tmp_path / "state"),
    )
    (spec,) = specs(conf)
    assert (spec.batch_size, spec.continuous) == (wrote["batch_size"], wrote["continuous"])
