"""Senders count tokens where they can, as the device process would, and leave it to that where they cannot."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from celery_inference.catalogue.catalogue import DEFAULT_PATH, load
from celery_inference.inputs import token_count
from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from tests.support import tiny_models
from tests.support.engines import spec

ROOT = Path(__file__).resolve().parents[3]
NO_CACHE = Path("/nonexistent")
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make("feature-extraction", tmp_path_factory.mktemp("model"))


def test_a_text_of_too_many_tokens_is_refused_with_their_number(folder: Path) -> None:
    one = spec("feature-extraction", folder, max_tokens=10)
    token_count.check(one, " ".join(["cat"] * 8), NO_CACHE)
    with pytest.raises(InvalidInput, match=r"^inputs has 11 tokens; at most 10 are allowed"):
        token_count.check(one, " ".join(["cat"] * 9), NO_CACHE)


@pytest.mark.parametrize("words", [8, 9])
def test_the_sender_counts_as_the_device_process_does(folder: Path, words: int) -> None:
    from transformers import AutoTokenizer

    from models.handlers.common import tokenization

    one = spec("feature-extraction", folder, max_tokens=10)
    text = " ".join(["a"] * words)  # a byte a token, or nearly
    said = []
    for count in (
        lambda: token_count.check(one, text, NO_CACHE),
        lambda: tokenization.encode(one, AutoTokenizer.from_pretrained(folder), text),
    ):
        try:
            count()
            said.append("")
        except InvalidInput as error:
            said.append(str(error))
    assert said == [""] * 2 if words == 8 else said == ["inputs has 11 tokens; at most 10 are allowed"] * 2


def test_a_pair_of_texts_is_counted_together(folder: Path) -> None:
    one = spec("text-classification", folder, max_tokens=10)
    token_count.check(one, {"text": "cat cat cat", "text_pair": "cat cat cat cat"}, NO_CACHE)
    with pytest.raises(InvalidInput, match=r"^inputs has 11 tokens"):
        token_count.check(one, {"text": "cat cat cat cat", "text_pair": "cat cat cat cat"}, NO_CACHE)


def test_every_text_of_a_chat_is_counted(folder: Path) -> None:
    one = spec("text-generation", folder, max_tokens=10)
    chat = [{"role": "user", "content": "cat"}, {"role": "assistant", "content": " ".join(["cat"] * 11)}]
    with pytest.raises(InvalidInput, match=r"^inputs has 11 tokens"):
        token_count.check(one, chat, NO_CACHE)


def test_a_snapshot_of_the_hub_is_known_by_its_revision(folder: Path, tmp_path: Path) -> None:
    one = spec("feature-extraction", Path("/"), max_tokens=10)
    hub = ModelSpec(**{**_fields(one), "source": "someone/tiny", "revision": REVISION})
    assert token_count.file_of(hub, tmp_path) is None
    token_count.check(hub, "cat " * 50, tmp_path)
    shutil.copytree(folder, tmp_path / "models--someone--tiny" / "snapshots" / REVISION)
    with pytest.raises(InvalidInput, match="has 52 tokens"):
        token_count.check(hub, "cat " * 50, tmp_path)


def _fields(one: ModelSpec) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_a_file_that_is_none_of_a_tokenizer_is_left_to_the_device_process(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    token_count.check(spec("feature-extraction", tmp_path, max_tokens=10), "cat " * 50, NO_CACHE)


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "smollm2-135m-instruct"])
def test_real_tokenizers_count_here_as_they_do_in_transformers(name: str) -> None:
    from transformers import AutoTokenizer

    real = load(DEFAULT_PATH).get(name)
    theirs = AutoTokenizer.from_pretrained(real.source, local_files_only=True)
    for text in ("The quick brown fox. " * 40, "naïve café — 東京 ﷺ 🙂 \t\n x" * 30, "a" * 400):
        special = real.pipeline_task.media == "text"
        count = len(theirs(text, add_special_tokens=special, verbose=False)["input_ids"])
        fits, too_small = ({**_fields(real), "max_tokens": most} for most in (count, count - 1))
        token_count.check(ModelSpec(**fits), text, NO_CACHE)
        with pytest.raises(InvalidInput, match=f"has {count:,} tokens"):
            token_count.check(ModelSpec(**too_small), text, NO_CACHE)


def test_a_sender_counts_without_torch_and_loads_the_library_for_long_texts_alone(folder: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom celery_inference.inputs import token_count\n"
        "from celery_inference.specs.model_spec import ModelSpec\n"
        f"one = ModelSpec(name='one', task='feature-extraction', source={str(folder)!r}, max_tokens=20)\n"
        "token_count.check(one, 'the cat', Path())\nprint('tokenizers' in sys.modules)\n"
        "token_count.check(one, 'cat ' * 15, Path())\nprint('tokenizers' in sys.modules, 'torch' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["False", "True", "False"], ended.stderr
