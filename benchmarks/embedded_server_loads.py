"""What is asked of each server: single sends, ten a call, and a race of producers and consumers."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from benchmarks.embedded_server_client import Wire, burst, request
from benchmarks.embedded_server_peers import Running

RAW_SENDS: Final = 8_000
RAW_CONNECTIONS: Final = 16
BATCH_MESSAGES: Final = 20_000
CLIENTS: Final = 4
RACE_MESSAGES: Final = 20_000
WARM_UP_MESSAGES: Final = 6_000
RACE_SECONDS: Final = 40  # after which whoever is not done has lost the race
_fork = multiprocessing.get_context("fork")


def raw_sends(server: Running) -> dict[str, float]:
    """One message a request, several connections, one client process: sends/s and the server's CPU for each."""
    url = server.queue("raw")
    data = request(server.port, "SendMessage", {"QueueUrl": url, "MessageBody": "x" * 100})
    burst(server.port, data, RAW_SENDS // 10, RAW_CONNECTIONS)
    cpu_seconds, started = server.cpu_seconds(), time.perf_counter()
    burst(server.port, data, RAW_SENDS, RAW_CONNECTIONS)
    seconds = time.perf_counter() - started
    return {
        "raw_sends_per_second": RAW_SENDS / seconds,
        "server_cpu_ms_per_send": (server.cpu_seconds() - cpu_seconds) * 1000 / RAW_SENDS,
    }


def warm_up(server: Running) -> None:
    """Node compiles what runs often: nobody is measured before that."""
    url = server.queue("warm-up")
    _in_processes([partial(_batch_client, server.port, url, WARM_UP_MESSAGES // CLIENTS)] * CLIENTS)


def batches(server: Running) -> dict[str, float]:
    """Sent, received and deleted ten a call by a few client processes: messages/s through the whole of it."""
    url = server.queue("batches")
    cpu_seconds, started = server.cpu_seconds(), time.perf_counter()
    _in_processes([partial(_batch_client, server.port, url, BATCH_MESSAGES // CLIENTS)] * CLIENTS)
    seconds = time.perf_counter() - started
    return {
        "ten_a_call_messages_per_second": BATCH_MESSAGES / seconds,
        "ten_a_call_server_cpu_ms_per_message": (server.cpu_seconds() - cpu_seconds) * 1000 / BATCH_MESSAGES,
    }


def _batch_client(port: int, url: str, count: int) -> None:
    wire = Wire(port)
    entries = [{"Id": str(number), "MessageBody": "x" * 100} for number in range(10)]
    sent = deleted = 0
    while deleted < count:
        if sent < count:
            wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)
            sent += 10
        answer = wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
        deleted += _delete(wire, url, answer.get("Messages", []))
    wire.close()


def _delete(wire: Wire, url: str, messages: list[dict[str, Any]]) -> int:
    if messages:
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        wire.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)
    return len(messages)


def race(server: Running) -> dict[str, float]:
    """Producers and consumers in processes of their own on one queue; every message is accounted for."""
    url = server.queue("race")
    results: Any = _fork.SimpleQueue()
    stopping = _fork.Event()
    consumers = [_fork.Process(target=_consumer, args=(server.port, url, stopping, results)) for _ in range(CLIENTS)]
    each = RACE_MESSAGES // CLIENTS
    cpu_seconds, started = server.cpu_seconds(), time.perf_counter()
    for consumer in consumers:
        consumer.start()
    _in_processes([partial(_producer, server.port, url, number * each, each) for number in range(CLIENTS)])
    stopping.set()
    bodies: list[int] = []
    last = started
    for _ in consumers:
        got, ended = results.get()
        bodies += got
        last = max(last, ended)
    for consumer in consumers:
        consumer.join()
    return {
        "race_messages_per_second": len(set(bodies)) / (last - started),
        "race_server_cpu_ms_per_message": (server.cpu_seconds() - cpu_seconds) * 1000 / RACE_MESSAGES,
        "race_not_delivered": RACE_MESSAGES - len(set(bodies)),
        "race_doubled": len(bodies) - len(set(bodies)),
    }


def _producer(port: int, url: str, first: int, count: int) -> None:
    wire = Wire(port)
    deadline = time.perf_counter() + RACE_SECONDS
    for number in range(first, first + count, 10):
        if time.perf_counter() > deadline:
            break
        entries = [{"Id": str(n), "MessageBody": str(number + n)} for n in range(10)]
        wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    wire.close()


def _consumer(port: int, url: str, stopping: Any, results: Any) -> None:
    """Ends when producers have, and the queue stays empty for a second. Reports whatever happens."""
    bodies: list[int] = []
    last = time.perf_counter()
    deadline = last + RACE_SECONDS
    try:
        wire = Wire(port)
        while time.perf_counter() < deadline:
            answer = wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", [])
            if messages:
                bodies += [int(message["Body"]) for message in messages]
                _delete(wire, url, messages)
                last = time.perf_counter()
            elif stopping.is_set():
                break
        wire.close()
    finally:
        results.put((bodies, last))


def _in_processes(works: list[Callable[[], None]]) -> None:
    processes = [_fork.Process(target=work) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client failed")
