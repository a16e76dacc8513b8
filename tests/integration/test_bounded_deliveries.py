"""Whatever message is put into a lane: its deliveries are bounded, and it ends in an outcome or a dead letter."""

import base64
import bz2
import json
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.states import READY_STATES

from tests.support import outcome_app as program
from tests.support.fault_proxy import FaultProxy
from tests.support.outcome_rig import Rig, eventually, started
from tests.support.peek import peek

MESSAGES = 600
MOST_DELIVERIES = 28  # as docs/transport.md says
SECRET = "planted-secret"
ORIGIN = "origin"  # the attribute by which a message and its copies are told
Whole = dict[str, Any]  # envelope, with the payload as it is before it is written


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with started(tmp_path) as rig:
        yield rig


def signature(task: str = "tests.support.outcome_app.double", **options: Any) -> dict[str, Any]:
    return {"task": task, "args": [], "kwargs": {}, "options": options, "subtask_type": None, "immutable": False}


def anything(rand: random.Random) -> Any:
    return rand.choice([None, True, 5, -1.5, "", "x", [], {}, [5], {"a": 1}, ["x", None], {"task": "x"}, 2**70])


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def other_arguments(whole: Whole, rand: random.Random) -> None:
    whole["body"][0] = rand.choice([[1], [1, 2, 3], [SECRET, 1], ["1", "2"], anything(rand)])


def other_keywords(whole: Whole, rand: random.Random) -> None:
    whole["body"][1] = rand.choice([{"nothing": 1}, {"left": 1}, anything(rand)])


def links(whole: Whole, rand: random.Random) -> None:
    one = rand.choice(
        [
            signature(),
            signature(queue="nowhere"),
            signature("no.such.task"),
            signature(task_id="t", countdown="x"),
            {**signature(), "subtask_type": "group", "kwargs": {"tasks": [signature(), 5]}},
            {**signature(), "subtask_type": "chord", "kwargs": {"header": [signature()], "body": signature()}},
            {**signature(), "subtask_type": "nonsense"},
        ]
    )
    name = rand.choice(["callbacks", "errbacks", "chain", "chord"])
    whole["body"][2] = {**(whole["body"][2] or {}), name: one if name == "chord" else [one]}
    if name == "chord":
        whole["headers"]["group"] = f"g{rand.randrange(2**32)}"
        one["chord_size"] = rand.choice([1, 2, None, "x"])
    if name == "errbacks" and rand.random() < 0.8:
        whole["body"][0] = [SECRET, 1]  # it fails


def wrong_links(whole: Whole, rand: random.Random) -> None:
    whole["body"][2] = {rand.choice(["callbacks", "errbacks", "chain", "chord"]): anything(rand)}


def other_body(whole: Whole, rand: random.Random) -> None:
    whole["body"] = anything(rand)


def times(whole: Whole, rand: random.Random) -> None:
    whole["headers"][rand.choice(["eta", "expires"])] = rand.choice(
        [at(-5), at(2), "some day", "", "9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00", "9990-01-01", 5]
    )


def header(whole: Whole, rand: random.Random) -> None:
    names = ["task", "lang", "retries", "timelimit", "group", "root_id", "stamps", "argsrepr", "replaced_task_nesting"]
    whole["headers"][
        rand.choice([*names, "stamped_headers", "ignore_result", "inference_generation", "compression"])
    ] = anything(rand)


def another_task(whole: Whole, rand: random.Random) -> None:
    whole["headers"]["task"] = rand.choice(["no.such.task", "celery.chain", "celery.backend_cleanup", "celery.group"])


def properties(whole: Whole, rand: random.Random) -> None:
    names = ["delivery_info", "body_encoding", "claim", "correlation_id", "reply_to", "priority", "delivery_mode"]
    whole["properties"][rand.choice(names)] = anything(rand)


def content(whole: Whole, rand: random.Random) -> None:
    whole[rand.choice(["content-type", "content-encoding"])] = rand.choice(
        ["application/x-python-serialize", "application/x-yaml", "text/plain", "utf-16", "nothing", anything(rand)]
    )


def claim(whole: Whole, rand: random.Random) -> None:
    whole["properties"]["claim"] = {"key": f"{rand.randrange(2**128):032x}", "size_bytes": 9, "sha256": "0" * 64}


def compression(whole: Whole, rand: random.Random) -> None:
    pack, name = rand.choice([(zlib.compress, "application/x-gzip"), (bz2.compress, "application/x-bz2")])
    payload = json.dumps(whole["body"]).encode()
    if rand.random() < 0.05:
        payload = bytes(80 * 1024 * 1024)
    packed = pack(payload)[: rand.choice([None, None, None, 9])]
    whole["headers"]["compression"] = rand.choice([name, name, name, "rot13", "application/x-brotli"])
    whole["properties"]["body_encoding"] = "base64"
    whole["body"] = base64.b64encode(packed).decode()


def less(whole: Whole, rand: random.Random) -> None:
    place = rand.choice([whole, whole["headers"], whole["properties"]])
    if place:
        del place[rand.choice(list(place))]


MUTATIONS: tuple[Callable[[Whole, random.Random], None], ...] = (
    other_arguments,
    other_keywords,
    links,
    links,
    wrong_links,
    other_body,
    times,
    header,
    header,
    another_task,
    properties,
    content,
    compression,
    less,
)


def message(number: int, rand: random.Random) -> tuple[str, str]:
    """A body, and the id of its request."""
    task_id = f"m{number if rand.random() < 0.85 else rand.randrange(number + 1)}"  # some are said twice
    whole: Whole = {
        "body": [[number, 1], {}, None],
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {
            "task": "tests.support.outcome_app.add",
            "id": task_id,
            "lang": "py",
            "argsrepr": SECRET,
            "retries": 0,
        },
        "properties": {"correlation_id": task_id, "body_encoding": "utf-8", "delivery_info": {}},
    }
    for _ in range(rand.randrange(4)):
        try:
            rand.choice(MUTATIONS)(whole, rand)
        except (LookupError, TypeError, AttributeError):
            continue  # an earlier one has left nothing for it
    if "body" in whole and not isinstance(whole["body"], str):
        whole["body"] = json.dumps(whole["body"])
    text = json.dumps(whole)
    if rand.random() < 0.03:
        text = text[: rand.randrange(1, len(text))]
    return text, task_id


def test_whatever_message_is_put_into_a_lane_is_delivered_a_bounded_number_of_times_and_ends(rig: Rig) -> None:
    rand = random.Random(18)
    client = program.app.connection_for_read().transport.clients.client
    url = client.get_queue_url(QueueName=program.LANE.name)["QueueUrl"]
    deliveries: Counter[str] = Counter()

    def count(operation: str, answer: bytes) -> None:
        if operation == "ReceiveMessage":
            for received in json.loads(answer).get("Messages", ()):
                deliveries[received.get("MessageAttributes", {}).get(ORIGIN, {}).get("StringValue", "a link")] += 1

    sent: dict[str, str] = {}
    port = int(rig.broker.rstrip("/").rpartition(":")[2])
    with FaultProxy(port) as proxy:
        proxy.watch = count
        rig.broker = f"sqs://key:secret@127.0.0.1:{proxy.port}//"
        worker = rig.worker(OUTCOME_CONSUMER="tasks.worker.consumer:Consumer").wait_until(
            lambda text: " ready." in text, 60
        )
        for number in range(MESSAGES):
            body, sent[str(number)] = message(number, rand)
            attributes: Any = {ORIGIN: {"DataType": "String", "StringValue": str(number)}}
            client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        eventually(lambda: rig.depths()[0] == 0, f"the lane does not become empty: {deliveries.most_common(5)}")
        text = worker.text()
        worker.stop()
    most = deliveries.most_common(5)
    assert set(sent) <= set(deliveries)
    assert most[0][1] <= MOST_DELIVERIES or most[0][0] == "a link", most
    assert deliveries["a link"] <= MOST_DELIVERIES * MESSAGES
    letters = {
        letter.attributes.get(ORIGIN, {}).get("StringValue") for letter in peek(client, program.LANE, limit=MESSAGES)
    }
    states = {task_id: program.app.backend._get_task_meta_for(task_id)["status"] for task_id in sent.values()}
    lost = [number for number, task_id in sent.items() if number not in letters and states[task_id] not in READY_STATES]
    assert not lost
    assert SECRET not in text
    assert "is released" not in text, "what an outcome cannot be stored for, or settled, comes again"
