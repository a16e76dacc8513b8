"""How fast is the embedded SQS server, beside its peers, in one run on one machine?

`python -m benchmarks.embedded_server [--rounds 3] [--bin DIR ...] [--output FILE]` prints JSON. Peers (ministack and
roto-server from PyPI, fauxqs from npm) are looked for on PATH and in each DIR, and left out where they are absent. Ours
runs with its journal, sends synced to disk before they are answered; the peers run as they come, which is without.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60
RAW_SENDS = 8_000
RAW_CONNECTIONS = 16
BATCH_MESSAGES = 8_000
CLIENTS = 4
RACE_MESSAGES = 20_000
RACE_SECONDS = 40  # after which whoever is not done has lost the race
FILL_MESSAGES = 100_000
PROBES = 200
_fork = multiprocessing.get_context("fork")


class Wire:
    """One kept-alive connection that speaks the JSON protocol with as little work as possible."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        self._socket.sendall(request(self._port, operation, fields))
        data = b""
        while True:
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise ConnectionError(f"{operation}: hung up after {data[:200]!r}")
            data += piece
            head, found, body = data.partition(b"\r\n\r\n")
            if found and len(body) >= length_of(head):
                break
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{operation}: {head[:20]!r} {body[:300]!r}")
        return dict(json.loads(body or b"{}"))

    def close(self) -> None:
        self._socket.close()


def request(port: int, operation: str, fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields).encode()
    return (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Amz-Target: AmazonSQS.{operation}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256"
        " Credential=any/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def length_of(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    if start < 0:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return int(lowered[start + 15 :].split(b"\r\n", 1)[0])


@dataclass(frozen=True)
class Target:
    """A server to measure. `command` gets port and data directory."""

    name: str
    version: str
    keeps: str
    command: Callable[[int, Path], list[str]]
    environment: Callable[[int], dict[str, str]]


class Running:
    """A started server."""

    def __init__(self, target: Target, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._child = subprocess.Popen(
            target.command(self.port, folder),
            env={**os.environ, **target.environment(self.port)},
            cwd=ROOT if target.name == "embedded" else folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._child.pid

    def queue(self, name: str) -> str:
        """URL of a new queue, once the server is up."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                wire = Wire(self.port)
                try:
                    return str(wire.call("CreateQueue", QueueName=name)["QueueUrl"])
                finally:
                    wire.close()
            except OSError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()

    def _pids(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return pids

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        lines = [line for pid in self._pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def running(target: Target) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="sqs-benchmark-") as folder:
        server = Running(target, Path(folder))
        try:
            yield server
        finally:
            server.stop()


def raw_sends(server: Running) -> dict[str, float]:
    """One message a request, several connections, one client process: sends/s and the server's CPU for each."""
    url = server.queue("raw")
    data = request(server.port, "SendMessage", {"QueueUrl": url, "MessageBody": "x" * 100})
    _burst(server.port, data, RAW_SENDS // 10)
    cpu_seconds, started = server.cpu_seconds(), time.perf_counter()
    _burst(server.port, data, RAW_SENDS)
    seconds = time.perf_counter() - started
    return {
        "raw_sends_per_second": RAW_SENDS / seconds,
        "server_cpu_ms_per_send": (server.cpu_seconds() - cpu_seconds) * 1000 / RAW_SENDS,
    }


def _burst(port: int, data: bytes, count: int) -> None:
    """`count` requests over a few connections from one thread."""
    selector = selectors.DefaultSelector()
    sent = done = 0
    for _ in range(RAW_CONNECTIONS):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ, b"")
        sock.sendall(data)
        sent += 1
    while done < count:
        for key, _ in selector.select(30):
            sock = key.fileobj  # type: ignore[assignment]
            answer = key.data + sock.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an unexpected answer: {answer!r}")
            if not answer.endswith(b"}"):
                selector.modify(sock, selectors.EVENT_READ, answer)
                continue
            if key.data:
                selector.modify(sock, selectors.EVENT_READ, b"")
            done += 1
            if sent < count:
                sock.sendall(data)
                sent += 1
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()


def batches(server: Running) -> dict[str, float]:
    """Sent, received and deleted ten a call by a few client processes: messages/s through the whole of it."""
    url = server.queue("batches")
    started = time.perf_counter()
    _in_processes([partial(_batch_client, server.port, url, BATCH_MESSAGES // CLIENTS)] * CLIENTS)
    return {"ten_a_call_messages_per_second": BATCH_MESSAGES / (time.perf_counter() - started)}


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
    started = time.perf_counter()
    for consumer in consumers:
        consumer.start()
    _in_processes([partial(_producer, server.port, url, number * each, each) for number in range(CLIENTS)])
    bodies: list[int] = []
    last = started
    stopping.set()
    for _ in consumers:
        got, ended = results.get()
        bodies += got
        last = max(last, ended)
    for consumer in consumers:
        consumer.join()
    return {
        "race_messages_per_second": len(set(bodies)) / (last - started),
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
    """Ends when producers have, and the queue stays empty for a second."""
    wire = Wire(port)
    bodies: list[int] = []
    last = time.perf_counter()
    deadline = last + RACE_SECONDS
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
    results.put((bodies, last))


def _in_processes(works: list[Callable[[], None]]) -> None:
    processes = [_fork.Process(target=work) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError("a client failed")


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


def targets(folders: list[str]) -> list[Target]:
    """Ours, and the peers that are there."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    found = [
        Target(
            "embedded",
            "this checkout",
            "journal, sends synced before they are answered",
            lambda port, data: [sys.executable, "-m", "sqs.local", "--port", str(port), "--data", str(data)],
            lambda port: {},
        )
    ]
    if program := shutil.which("ministack", path=path):
        version = _version([str(Path(program).with_name("python")), "-c", _VERSION_OF % "ministack"])
        environment = {"BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"}
        found.append(
            Target(
                "ministack",
                version,
                "memory",
                lambda port, data: [program],
                lambda port: {**environment, "GATEWAY_PORT": str(port)},
            )
        )
    if roto := shutil.which("roto-server", path=path):
        found.append(
            Target(
                "roto",
                _version([roto, "--version"]),
                "SQLite, not synced",
                lambda port, data: [roto, "--port", str(port), "--data-dir", str(data)],
                lambda port: {},
            )
        )
    if fauxqs := shutil.which("fauxqs", path=path):
        package = Path(fauxqs).resolve().parents[1] / "package.json"
        found.append(
            Target(
                "fauxqs",
                str(json.loads(package.read_text())["version"]),
                "memory",
                lambda port, data: [fauxqs],
                lambda port: {"FAUXQS_PORT": str(port), "FAUXQS_LOGGER": "false"},
            )
        )
    return found


_VERSION_OF = "from importlib.metadata import version; print(version(%r))"


def _version(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


def measure(found: list[Target], rounds: int) -> dict[str, dict[str, list[float]]]:
    """All figures of all rounds. Servers take turns, so that a slow minute of the machine is shared."""
    figures: dict[str, dict[str, list[float]]] = {target.name: {} for target in found}
    for _ in range(rounds):
        for target in found:
            with running(target) as server:
                for step in (raw_sends, batches, race):
                    print(f"{target.name}: {step.__name__}", file=sys.stderr)
                    for name, value in step(server).items():
                        figures[target.name].setdefault(name, []).append(value)
    with running(found[0]) as server:
        print(f"{found[0].name}: filled", file=sys.stderr)
        figures[found[0].name].update({name: [value] for name, value in filled(server).items()})
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--bin", action="append", default=[], metavar="DIR", help="where to look for peers besides PATH"
    )
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = targets(given.bin)
    figures = measure(found, given.rounds)
    medians = {name: {key: statistics.median(values) for key, values in rows.items()} for name, rows in figures.items()}
    ours = medians["embedded"]
    rates = [key for key in ours if key.endswith("_per_second")]
    result = {
        "question": "How fast is the embedded SQS server, beside its peers?",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "load_average": os.getloadavg()[0]},
        "servers": {target.name: {"version": target.version, "keeps": target.keeps} for target in found},
        "rounds": given.rounds,
        "medians": medians,
        "ours_to_theirs": {
            name: {key: ours[key] / rows[key] for key in rates} for name, rows in medians.items() if name != "embedded"
        },
    }
    text = json.dumps(result, indent=2, default=str)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
