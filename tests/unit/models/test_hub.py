"""A model of the hub is taken from this machine when it is whole here, else fetched, else refused in one sentence."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.device_process.hub import folder_of, offline

REVISION = "0123456789abcdef0123456789abcdef01234567"
INDEX = b'{"weight_map": {"a": "part-[1].safetensors", "b": "part-2.safetensors"}}'
SPEC = ModelSpec(name="one", task="feature-extraction", source="someone/one", revision=REVISION)


class Hub(HTTPServer):
    """A hub that keeps the paths it was asked for, and whose one repository has these files, if it has any."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Answers)


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        file = unquote(self.path.partition(f"/resolve/{REVISION}/")[2])
        if self.server.files and self.path.startswith("/api/models/someone/one/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.server.files.items()
            ]
            self._answer(200, json.dumps(tree).encode())
        elif file in self.server.files:
            self._answer(200, self.server.files[file])
        else:
            self._answer(404, b"")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    folder = tmp_path / "models--someone--one" / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_whole_snapshot_is_used_and_nobody_is_asked(hub: Hub, snapshot: Path) -> None:
    assert folder_of(SPEC) == snapshot
    assert hub.asked == []


def test_a_snapshot_without_its_last_shard_is_fetched_again(hub: Hub, snapshot: Path) -> None:
    (snapshot / "model.safetensors").unlink()
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "1.safetensors").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="cannot be fetched"):
        folder_of(SPEC)
    assert any("someone/one" in path for path in hub.asked)


@pytest.mark.parametrize(
    ("index", "read"),
    [
        ({}, {"model.safetensors"}),
        (
            {"model.safetensors.index.json": INDEX},
            {"model.safetensors.index.json", "part-[1].safetensors", "part-2.safetensors"},
        ),
    ],
    ids=["one file", "several"],
)
def test_every_file_of_a_tokenizer_is_fetched_and_of_weights_those_that_are_read(
    hub: Hub, index: dict[str, bytes], read: set[str]
) -> None:
    tokenizer = {"config.json", "vocab.txt", "bpe.codes", "source.spm", "target.spm", "spiece.model", "qwen.tiktoken"}
    other = {"consolidated.safetensors", "model.fp16.safetensors", "original/model.safetensors", "pytorch_model.bin"}
    other |= {"modeling_one.py"}
    hub.files = dict.fromkeys(tokenizer | other | read, b"{}") | index
    folder = folder_of(SPEC)
    here = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert here == tokenizer | read
    asked = len(hub.asked)
    assert folder_of(SPEC) == folder
    assert len(hub.asked) == asked


def test_what_is_neither_here_nor_there_is_said_in_one_sentence(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        ModelLoadError, match=rf"^revision {REVISION} cannot be fetched from http://127.*Not Found"
    ) as error:
        folder_of(SPEC)
    assert "\n" not in str(error.value)
    assert hub.asked


def test_offline_nobody_is_asked(hub: Hub, tmp_path: Path) -> None:
    with offline(), pytest.raises(ModelLoadError, match=f"is not whole in {tmp_path}, and HF_HUB_OFFLINE is set"):
        folder_of(SPEC)
    assert hub.asked == []


def test_a_folder_is_used_as_it_is(hub: Hub, snapshot: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(snapshot, folder)
    assert folder_of(ModelSpec(name="one", task="feature-extraction", source=str(folder))) == folder
    assert hub.asked == []
