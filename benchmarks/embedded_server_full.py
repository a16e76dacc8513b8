"""What a queue that holds many messages costs: memory, and the time of each operation beside a short queue's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from benchmarks.embedded_server_client import Wire
from benchmarks.embedded_server_peers import Running

FEW_MESSAGES: Final = 100
MANY_MESSAGES: Final = 100_000
PROBES: Final = 150
_BODY: Final = "x" * 1000


def filled(few: Running, many: Running, rounds: int) -> dict[str, list[float]]:
    """Memory of 100,000 messages of 1 KB, and for each round each operation's median beside that with 100.

    Two servers, asked in turns, call by call: so that a slow moment of the machine meets both alike.
    """
    urls = few.queue("filled"), many.queue("filled")
    with closing(Wire(few.port)) as short, closing(Wire(many.port)) as long:
        _fill(short, urls[0], FEW_MESSAGES)
        _fill(long, urls[1], FEW_MESSAGES)
        measured = {f"memory_mb_at_{FEW_MESSAGES}": [many.memory_mb()]}
        _fill(long, urls[1], MANY_MESSAGES - FEW_MESSAGES)
        measured[f"memory_mb_at_{MANY_MESSAGES}"] = [many.memory_mb()]
        for _ in range(rounds):
            times: tuple[_Times, _Times] = {}, {}
            for _ in range(PROBES):
                for _ in zip(_probe(short, urls[0], times[0]), _probe(long, urls[1], times[1]), strict=True):
                    pass
            for operation, seconds in times[0].items():
                at_few, at_many = statistics.median(seconds), statistics.median(times[1][operation])
                measured.setdefault(f"{operation}_median_ms_at_{FEW_MESSAGES}", []).append(at_few * 1000)
                measured.setdefault(f"{operation}_slowdown_at_{MANY_MESSAGES}", []).append(at_many / at_few)
    return measured


_Times = dict[str, list[float]]


def _fill(wire: Wire, url: str, count: int) -> None:
    entries = [{"Id": str(number), "MessageBody": _BODY} for number in range(10)]
    for _ in range(count // 10):
        wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)


def _probe(wire: Wire, url: str, times: _Times) -> Iterator[None]:
    """Each operation once, a step each. Leaves as many messages as it found."""

    def timed(operation: str, **fields: Any) -> dict[str, Any]:
        started = time.perf_counter()
        answer = wire.call(operation, **fields)
        times.setdefault(operation, []).append(time.perf_counter() - started)
        return answer

    queue = {"QueueUrl": url}
    timed("SendMessage", **queue, MessageBody=_BODY)
    yield
    sent = [{"Id": str(number), "MessageBody": _BODY} for number in range(10)]
    timed("SendMessageBatch", **queue, Entries=sent)
    yield
    (message,) = timed("ReceiveMessage", **queue, VisibilityTimeout=600)["Messages"]
    yield
    handle = message["ReceiptHandle"]
    timed("ChangeMessageVisibility", **queue, ReceiptHandle=handle, VisibilityTimeout=700)
    yield
    timed("DeleteMessage", **queue, ReceiptHandle=handle)
    yield
    ten = wire.call("ReceiveMessage", **queue, MaxNumberOfMessages=10)["Messages"]
    handles = [{"Id": str(number), "ReceiptHandle": m["ReceiptHandle"]} for number, m in enumerate(ten)]
    changes = [{**entry, "VisibilityTimeout": 60} for entry in handles]
    timed("ChangeMessageVisibilityBatch", **queue, Entries=changes)
    yield
    timed("DeleteMessageBatch", **queue, Entries=handles)
    yield
    timed("GetQueueAttributes", **queue, AttributeNames=["All"])
    yield
    timed("SetQueueAttributes", **queue, Attributes={"DelaySeconds": "0"})
    yield
    timed("GetQueueUrl", QueueName="filled")
    yield
    timed("CreateQueue", QueueName="filled")
    yield
    timed("ListQueues")
    yield
    timed("ListDeadLetterSourceQueues", **queue)
    yield
    timed("TagQueue", **queue, Tags={"a": "b"})
    yield
    timed("ListQueueTags", **queue)
    yield
    timed("UntagQueue", **queue, TagKeys=["a"])
    yield
