"""kill -9 of the process that sends dead letters back, at any moment, again and again."""

import itertools
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.messages.reason import mark_of
from celery_inference.sqs_local.child_process import LocalServer
from tests.support.letters import body_of, dead_letter_rig, reason

ROOT = Path(__file__).resolve().parents[2]
LETTERS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.mark.parametrize("lane", ["killed", "killed.fifo"])
def test_a_redrive_that_is_killed_loses_nothing_and_opens_one_generation(
    server: LocalServer, tmp_path: Path, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "END_WAIT_SECONDS", 0)
    rig = dead_letter_rig(server.endpoint_url, tmp_path, lane)
    for number in range(LETTERS):
        rig.send(body_of(f"r{number}"), reason(group="g"))
        rig.backend.store_result(f"r{number}", ValueError("old"), "FAILURE")
    command = [sys.executable, "-m", "tests.support.redriver", server.endpoint_url, str(tmp_path), lane]
    kills: Counter[str] = Counter()
    for seed in itertools.count():
        process = subprocess.run([*command, str(seed)], cwd=ROOT, capture_output=True, text=True, timeout=100)
        said = process.stdout.strip()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, process.stderr
        kills[said] += 1
    assert kills["after send"], "it was not killed where it hurts most"
    sent = rig.take()
    copies = Counter(json.loads(message["Body"])["headers"]["id"] for message in sent)
    print(f"{LETTERS} letters, killed {dict(kills)}, {len(sent) - LETTERS} copies twice")
    assert set(copies) == {f"r{number}" for number in range(LETTERS)}
    assert {mark_of(message["MessageAttributes"]).generation for message in sent} == {1}
    assert {message["Body"] for message in sent} == {body_of(f"r{number}") for number in range(LETTERS)}
    # A FIFO queue absorbs what is sent twice; elsewhere the worker does, because both carry one id and generation.
    if lane.endswith(".fifo"):
        assert len(sent) == LETTERS
    else:
        assert LETTERS < len(sent) <= LETTERS + 10 * kills["after send"]
    assert rig.dead() == 0
    assert rig.index.count(Selection()) == 0
    assert set(rig.backend.store.generations(list(copies)).values()) == {1}
    assert {rig.backend.get_state(task_id) for task_id in copies} == {"PENDING"}
