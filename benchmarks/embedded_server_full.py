"""What a queue that holds many messages costs: memory, and the time of each operation beside a short queue's."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

from benchmarks.embedded_server_client import Wire
from benchmarks.embedded_server_peers import Running

FILL_MESSAGES: Final = 100_000
PROBES: Final = 200


def filled(server: Running) -> dict[str, float]:
    """Memory of 100,000 messages of 1 KB, and each operation's median with them against its median with 100."""
    url = server.queue("filled")
    wire = Wire(server.port)
    _fill(wire, url, 100)
    few = _probe(wire, url)
    empty_mb = server.memory_mb()
    _fill(wire, url, FILL_MESSAGES - 100)
    measured = {"memory_mb_at_100": empty_mb, "memory_mb_at_100000": server.memory_mb()}
    many = _probe(wire, url)
    wire.close()
    for operation, seconds in few.items():
        measured[f"{operation}_median_ms_at_100"] = seconds * 1000
        measured[f"{operation}_slowdown_at_100000"] = many[operation] / seconds
    return measured


def _fill(wire: Wire, url: str, count: int) -> None:
    entries = [{"Id": str(number), "MessageBody": "x" * 1000} for number in range(10)]
    for _ in range(count // 10):
        wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)


def _probe(wire: Wire, url: str) -> dict[str, float]:
    """Medians in seconds. Leaves as many messages as it found, in flight for no time."""
    times: dict[str, list[float]] = {}

    def timed(operation: str, **fields: Any) -> dict[str, Any]:
        started = time.perf_counter()
        answer = wire.call(operation, QueueUrl=url, **fields)
        times.setdefault(operation, []).append(time.perf_counter() - started)
        return answer

    body = "x" * 1000
    for _ in range(PROBES):
        timed("SendMessage", MessageBody=body)
        timed("SendMessageBatch", Entries=[{"Id": str(number), "MessageBody": body} for number in range(10)])
        (message,) = timed("ReceiveMessage", VisibilityTimeout=600)["Messages"]
        handle = message["ReceiptHandle"]
        timed("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=700)
        timed("DeleteMessage", ReceiptHandle=handle)
        ten = wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        entries = [
            {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 60} for n, m in enumerate(ten)
        ]
        timed("ChangeMessageVisibilityBatch", Entries=entries)
        timed("DeleteMessageBatch", Entries=[{"Id": e["Id"], "ReceiptHandle": e["ReceiptHandle"]} for e in entries])
        timed("GetQueueAttributes", AttributeNames=["All"])
    return {operation: statistics.median(seconds) for operation, seconds in times.items()}
