"""How many product files one request passes: sender, worker and device process together.

A file counts when one of its functions runs for each of a few embeddings of one text, between the sending and the
deletion of the message. What runs beside them now and then, such as a heartbeat, is not in all of them.
"""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import write_catalogue
from demo.processes import ROOT
from demo.stack import Stack
from tests.support.called_files import counted, hook

REQUESTS = 20
Ran = dict[str, set[tuple[str, str]]]  # by process: files with their functions
# May sink. The goal is 60; commit 2c4db9d passed 96.
MOST_FILES = 106
SENDER = """
import json, os, time, urllib.request
from pathlib import Path

from celery_inference import feature_extraction
from tests.support.called_files import CLOSED, open_window

folder, endpoint, requests = Path(os.environ["CALLED_FILES"]), os.environ["ENDPOINT"], int(os.environ["REQUESTS"])

def deleted():
    with urllib.request.urlopen(f"{endpoint}/_local/calls") as answer:
        return sum(calls for name, calls in json.load(answer).items() if name.startswith("DeleteMessage"))

def ask():
    before, until = deleted(), time.monotonic() + 60
    vector = feature_extraction.delay("My parcel never arrived.").get(timeout=60)
    while deleted() == before:
        assert time.monotonic() < until, "the message was not deleted"
        time.sleep(0.005)
    assert len(vector) == 384

ask()
for number in range(requests):
    open_window(folder, f"request-{number}", 3)
    ask()
    open_window(folder, CLOSED, 3)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server, and a worker that is watched, with one model."""
    folder = tmp_path_factory.mktemp("files")
    text = write_catalogue(folder).read_text(encoding="utf-8")
    catalogue = folder / "one.toml"
    catalogue.write_text(text[text.index("[all-minilm") : text.index("[smollm2")], encoding="utf-8")
    with Stack(folder, catalogue=catalogue) as stack:
        stack.start_server()
        stack.environment |= hook(folder)
        stack.start_worker()
        yield stack


@pytest.fixture(scope="module")
def ran(stack: Stack) -> Ran:
    """What ran for each request, by process."""
    own = {"ENDPOINT": stack.endpoint, "REQUESTS": str(REQUESTS)}
    ended = subprocess.run(
        [sys.executable, "-c", SENDER],
        cwd=ROOT,
        env={**os.environ, **stack.environment, **own},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    windows = [counted(stack.folder, f"request-{number}") for number in range(REQUESTS)]
    return {process: set.intersection(*(window[process] for window in windows)) for process in windows[0]}


def report(ran: Ran) -> str:
    """The number of files in each folder; then each file, with its functions in each process."""
    functions: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for process, found in ran.items():
        for file, function in sorted(found):
            functions[file][process].append(function)
    folders = Counter(str(Path(file).parent) for file in functions)
    lines = [f"{count:4} {folder}" for folder, count in sorted(folders.items())]
    for file, processes in sorted(functions.items()):
        lines += [file, *(f"    {process}: {', '.join(names)}" for process, names in processes.items())]
    return "\n".join(lines)


def test_a_request_passes_few_files(ran: Ran) -> None:
    files = {process: {file for file, _ in found} for process, found in ran.items()}
    assert set(files) == {"sender", "worker", "device process"}
    assert "celery_inference/client/task.py" in files["sender"]
    assert "tasks/execution/execution.py" in files["worker"]
    assert "models/device_process/runner.py" in files["device process"]
    count = len(set.union(*files.values()))
    print(f"{count} files")
    assert count <= MOST_FILES, f"{count} files\n{report(ran)}"
