"""What is on the queue: readable by stock workers, and harmless when it is not for us."""

import base64
import json
import pickle
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def queue_url(rig: Rig) -> str:
    return rig.client.get_queue_url(QueueName=rig.lane.name)["QueueUrl"]


def only_body(rig: Rig) -> str:
    (message,) = rig.client.receive_message(QueueUrl=queue_url(rig), WaitTimeSeconds=5, VisibilityTimeout=0)["Messages"]
    return message["Body"]


def test_a_body_is_one_json_text_and_hardly_larger_than_its_argument(rig: Rig) -> None:
    argument = "größe 😀 " * 5_000
    with rig.app():
        program.note.delay(argument)
    body = only_body(rig)
    payload = json.loads(json.loads(body)["body"])
    assert payload[0] == [argument]
    assert len(body.encode()) < 1.5 * len(argument.encode()) + 2_000


def test_an_ascii_argument_of_100_kb_costs_no_base64(rig: Rig) -> None:
    with rig.app():
        program.note.delay("x" * 100_000)
    assert len(only_body(rig)) < 102_500


def test_a_stock_worker_runs_what_we_send(rig: Rig) -> None:
    rig.worker(stock=True, pool="threads")
    with rig.app():
        assert program.add.delay(20, 22).get(timeout=30) == 42
        program.note.delay("größe-😀")
        rig.until(rig.notes)
    assert rig.notes()[0].startswith("größe-😀 ")
    rig.until(rig.empty)


@pytest.mark.parametrize("sqs_base64_encoding", [True, False])
def test_we_run_what_a_stock_producer_sends(rig: Rig, sqs_base64_encoding: bool) -> None:
    rig.worker()
    code = (
        "from tests.support import transport_app as p; "
        "print(p.add.delay(20, 22).id); p.note.delay('größe-😀'); p.add.apply_async((1, 1), compression='gzip')"
    )
    program_run(rig, code, sqs_base64_encoding=sqs_base64_encoding)
    rig.until(rig.notes)
    assert rig.notes()[0].startswith("größe-😀 1 ")
    rig.until(rig.empty)
    assert rig.depth(dead=True).total == 0


def program_run(rig: Rig, code: str, **options: Any) -> None:
    import os
    import subprocess
    import sys

    environment = os.environ | {
        "TRANSPORT_BROKER": rig.broker_url,
        "TRANSPORT_OPTIONS": json.dumps(options),
        "TRANSPORT_DIR": str(rig.folder),
        "TRANSPORT_STOCK": "1",
    }
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=True)


def envelope(**changes: Any) -> dict[str, Any]:
    whole = {
        "body": json.dumps([["x"], {}, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": program.note.name, "id": "1234", "lang": "py"},
        "properties": {"body_encoding": "utf-8", "delivery_info": {}},
    }
    return whole | changes


def noise(size: int) -> str:
    signs = string.printable.replace("\x0b", "").replace("\x0c", "").replace("\r", "")
    return "".join(random.Random(size).choices(signs, k=size))


def with_headers(**changes: Any) -> str:
    whole = envelope()
    return json.dumps(whole | {"headers": whole["headers"] | changes})


BAD = {
    "properties empty": '{"properties":{}}',
    "properties a number": '{"properties":5}',
    "a body that is no triple": json.dumps(envelope(body="[1, 2]")),
    "a body that is a number": json.dumps(envelope(body="5")),
    "args a number": json.dumps(envelope(body="[5, {}, {}]")),
    "kwargs a list": json.dumps(envelope(body="[[], [], {}]")),
    "embed a text": json.dumps(envelope(body='[[], {}, "x"]')),
    "a body that is no JSON": json.dumps(envelope(body="{not json")),
    "delivery_info a list": json.dumps(envelope(properties={"delivery_info": []})),
    "no properties": json.dumps({"body": "x"}),
    "headers a list": json.dumps(envelope(headers=["task"])),
    "task a list": with_headers(task=["x"]),
    "id missing": json.dumps(envelope(headers={"task": program.note.name})),
    "id a number": with_headers(id=5),
    "timelimit a number": with_headers(timelimit=5),
    "eta nonsense": with_headers(eta="tomorrow"),
    "expires nonsense": with_headers(expires="tomorrow"),
    "stamps a list": with_headers(stamps=[1]),
    "unknown task": with_headers(task="shop.tasks.mail"),
    "unknown encoding": json.dumps(envelope(properties={"body_encoding": "rot13", "delivery_info": {}})),
    "unknown compression": with_headers(compression="application/x-nothing"),
    "broken compression": with_headers(compression="application/x-gzip"),
    "pickle": json.dumps(
        envelope(**{
            "body": base64.b64encode(pickle.dumps([[], {}, {}])).decode(),
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
            "properties": {"body_encoding": "base64", "delivery_info": {}},
        })
    ),
    "yaml": json.dumps(envelope(**{"body": "[[], {}, {}]", "content-type": "application/x-yaml"})),
    "unknown content type": json.dumps(envelope(**{"content-type": "application/x-nothing"})),
    "protocol 1 without id": json.dumps(envelope(body='{"task": "x"}', headers={})),
    "protocol 1 with a list for a task": json.dumps(envelope(body='{"task": ["x"], "id": "y"}', headers={})),
    "truncated base64": base64.b64encode(json.dumps(envelope()).encode()).decode()[:-7],
    "base64 of noise": base64.b64encode(random.Random(1).randbytes(300)).decode(),
    "plain text": "hello",
    "a number": "17",
    "null": "null",
    "a list": "[1, 2, 3]",
    "an S3 event": json.dumps({"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "a"}}}]}),
    "an SNS notification": json.dumps({"Type": "Notification", "MessageId": "x", "Message": "hi"}),
    "deep nesting": "[" * 30_000,
    "deep nesting inside": json.dumps(envelope(body="[" * 30_000)),
    "msgpack": json.dumps(envelope(**{
        "body": "k5Chd4CA", "content-type": "application/x-msgpack", "content-encoding": "binary",
        "properties": {"body_encoding": "base64", "delivery_info": {}},
    })),
    "noise": noise(200_000),
}  # fmt: skip


def test_bad_bytes_end_in_the_dlq_with_a_reason_and_the_worker_lives(rig: Rig) -> None:
    url = queue_url(rig)
    # Many of them have the same id, and Celery's own store in files is spoiled by writes at the same time.
    worker = rig.worker(concurrency=4, backend=f"sqlite:///{rig.folder / 'results.sqlite'}")
    with rig.app():
        for number, body in enumerate(BAD.values()):
            rig.client.send_message(QueueUrl=url, MessageBody=body)
            program.note.delay(f"neighbour{number}")
        rig.until(lambda: len(rig.notes()) == len(BAD))
        rig.until(rig.empty)
    rig.until(lambda: rig.depth(dead=True).visible == len(BAD))
    assert worker.poll() is None
    letters = {letter.body: letter for letter in peek(rig.client, rig.lane, limit=100)}
    for name, body in BAD.items():
        assert body in letters, name
        reason = letters[body].reason
        assert reason is not None, name
        assert reason.error_type in {"UndecodableMessage", "UnknownTask", "NotATask", "RefusedByWorker"}, name
    assert letters[BAD["unknown task"]].reason.error_type == "UnknownTask"  # type: ignore[union-attr]
    assert "shop.tasks.mail" in letters[BAD["unknown task"]].reason.message  # type: ignore[union-attr]
    assert letters[BAD["pickle"]].reason.error_type == "UndecodableMessage"  # type: ignore[union-attr]


def test_what_cannot_carry_a_reason_is_left_to_the_redrive_of_sqs(rig: Rig) -> None:
    rig.client.set_queue_attributes(QueueUrl=queue_url(rig), Attributes={"MaximumMessageSize": "1048576"})
    rig.worker()
    full = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(10)}
    large = noise(1_048_576)
    fits = noise(1_048_576 - 4_096)
    rig.client.send_message(QueueUrl=queue_url(rig), MessageBody="ten attributes", MessageAttributes=full)
    rig.client.send_message(QueueUrl=queue_url(rig), MessageBody=large)
    rig.client.send_message(QueueUrl=queue_url(rig), MessageBody=fits)
    rig.until(lambda: rig.depth(dead=True).visible == 3)
    letters = {letter.body: letter for letter in peek(rig.client, rig.lane)}
    assert letters["ten attributes"].attributes == full
    assert letters["ten attributes"].reason is None
    assert letters[large].reason is None
    assert letters[fits].reason is not None
    assert rig.log().count("cannot carry a reason") == 2
