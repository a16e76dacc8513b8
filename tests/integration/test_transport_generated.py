"""Generated bodies through a running worker, TRANSPORT_BODIES of them."""

import json
import os
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.queues import provisioning
from tests.integration.test_transport_bodies import BAD, envelope
from tests.support import transport_app as program
from tests.support.transport_rig import Rig, rig_in

COUNT = int(os.environ.get("TRANSPORT_BODIES", "10000"))
SIGNS = string.ascii_letters + string.digits + string.punctuation + " \n\täöü😀\u2028"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def anything(rand: random.Random, depth: int = 0) -> Any:
    """A JSON value."""
    kind = rand.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rand.choice((None, True, False))
    if kind == 1:
        return rand.choice((0, -1, 2**70, rand.random(), rand.randrange(1_000), 1e308))
    if kind < 5:
        return "".join(rand.choices(SIGNS, k=rand.randrange(20)))
    if kind == 5:
        return [anything(rand, depth + 1) for _ in range(rand.randrange(4))]
    names = ("task", "id", "args", "headers", "properties", "x", "")
    return {rand.choice(names): anything(rand, depth + 1) for _ in range(rand.randrange(4))}


def spoiled(rand: random.Random) -> str:
    """A good body with something else at one to three places, or cut, doubled or strewn with noise."""
    whole = envelope(headers=envelope()["headers"] | {"argsrepr": "('x',)", "retries": 0, "timelimit": [None, None]})
    for _ in range(rand.randint(1, 3)):
        place = rand.choice((whole, whole["headers"], whole["properties"]))
        if isinstance(place, dict) and place:
            name = rand.choice(list(place))
            if place is whole and name in ("headers", "properties") and rand.random() < 0.8:
                continue
            if rand.random() < 0.3:
                del place[name]
            else:
                place[name] = anything(rand)
        if not (isinstance(whole.get("headers"), dict) and isinstance(whole.get("properties"), dict)):
            break
    text = json.dumps(whole, ensure_ascii=rand.random() < 0.5)
    match rand.randrange(8):
        case 0:
            text = text[: rand.randrange(1, len(text))]
        case 1:
            text += text
        case 2:
            place = rand.randrange(len(text))
            text = text[:place] + "".join(rand.choices(SIGNS, k=3)) + text[place:]
        case 3:
            text = json.dumps(anything(rand)) or "x"
    return text.strip() or "x"


def send(rig: Rig, bodies: list[str]) -> None:
    url = rig.client.get_queue_url(QueueName=rig.lane.name)["QueueUrl"]
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start : start + 10])]
        answer = rig.client.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]
        assert not answer.get("Failed"), answer["Failed"]


def test_every_generated_body_is_run_or_becomes_a_dead_letter_and_the_worker_lives(rig: Rig) -> None:
    rand = random.Random(20)
    short = [body for body in BAD.values() if len(body) < 5_000]
    bodies = [rand.choice(short) if rand.random() < 0.1 else spoiled(rand) for _ in range(COUNT)]
    # Many of them have the same id, and Celery's own store in files is spoiled by writes at the same time.
    store = f"sqlite:///{rig.folder / 'results.sqlite'}"
    worker = rig.worker(concurrency=16, loglevel="critical", ready=False, backend=store, lease_seconds=300)
    with rig.app():
        for start in range(0, COUNT, 100):
            program.note.delay(f"neighbour{start}")
            send(rig, bodies[start : start + 100])
    rig.until(rig.empty, 60 + COUNT / 20)
    assert worker.poll() is None
    run = [line.split()[0] for line in rig.notes() if line.split()]
    assert {f"neighbour{start}" for start in range(0, COUNT, 100)} <= set(run)
    assert rig.depth(dead=True).visible + len(run) == COUNT + len(range(0, COUNT, 100))
    assert rig.depth(dead=True).visible > COUNT / 2
