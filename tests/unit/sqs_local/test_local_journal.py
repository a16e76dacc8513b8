"""The journal: what a crash and long use leave of it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from in_process import URL, InProcessServer, feed, receive, request, send

from sqs.local import cleaner, journal
from sqs.local.journal import Journal, JournalError

ARN = "arn:aws:sqs:us-east-1:000000000000:"


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal-*.log"))


@pytest.mark.parametrize("torn", [b"0", b"00000000 [[", b"00000000 [[]]\n", b"\x00\x00garbage behind a gap"])
def test_an_unfinished_write_is_dropped_and_nothing_before_it(
    server: InProcessServer, tmp_path: Path, torn: bytes
) -> None:
    server.call("CreateQueue", QueueName="q")
    sent = [send(server, str(number)) for number in range(3)]
    server.kill()
    path = segments(tmp_path)[-1]
    data = path.read_bytes()
    end = len(data.rstrip(b"\0"))
    path.write_bytes(data[:end] + torn + data[end + len(torn) :])
    server._start()
    assert server.lost_bytes == len(torn)
    assert [message["MessageId"] for message in receive(server)] == sent
    send(server, "after")
    server.restart()
    assert server.lost_bytes == 0
    assert [message["Body"] for message in receive(server)] == ["after"]


def test_damage_that_no_crash_leaves_stops_the_start(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 4096)
    monkeypatch.setattr(journal, "ROOM_BYTES", 1024)
    server.call("CreateQueue", QueueName="q")
    for number in range(100):
        send(server, str(number))
    assert len(segments(tmp_path)) > 1
    server.kill()
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match=f"{path.name} is damaged at byte"):
        server._start()


def test_a_crash_at_the_turn_of_a_segment_loses_nothing_that_was_answered(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old segment ends in half a line, the new one is there and empty; later the old one is cleaned away."""
    server.call("CreateQueue", QueueName="q")
    sent = send(server)
    server.kill()
    old = segments(tmp_path)[-1]
    data = old.read_bytes()
    end = len(data.rstrip(b"\0"))
    old.write_bytes(data[:end] + b"0123abcd [[" + data[end + 11 :])
    (tmp_path / "journal-00000002.log").write_bytes(bytes(4096))
    server._start()
    assert server.lost_bytes == 11
    (queue,) = server.service.store.queues.values()
    server.service.store.note_message(queue, queue.messages[sent])
    send(server)
    server.kill()
    old.unlink()
    server._start()
    assert len(receive(server)) == 2


def test_another_journal_cannot_use_the_directory(server: InProcessServer, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="in use by another server"):
        Journal(tmp_path)


def test_a_dead_letter_counts_from_its_arrival_after_a_restart_too(server: InProcessServer) -> None:
    for name, target in (("last", None), ("dlq", "last"), ("q", "dlq")):
        policy = (
            {"RedrivePolicy": json.dumps({"deadLetterTargetArn": ARN + target, "maxReceiveCount": 2})} if target else {}
        )
        server.call("CreateQueue", QueueName=name, Attributes=policy)
    send(server)
    for _ in range(3):
        receive(server, VisibilityTimeout=0)
    server.restart()
    dlq = URL.replace("/q", "/dlq")
    counts = [receive(server, dlq, VisibilityTimeout=0)[0]["Attributes"]["ApproximateReceiveCount"] for _ in range(2)]
    assert counts == ["3", "4"]
    assert receive(server, dlq) == []
    server.restart()
    (message,) = receive(server, URL.replace("/q", "/last"))
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "dlq"


def test_leases_delays_and_handles_outlive_a_restart(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    send(server, "leased")
    (message,) = receive(server, VisibilityTimeout=60)
    server.call("SendMessage", QueueUrl=URL, MessageBody="delayed", DelaySeconds=30)
    server.now_ms += 10_000
    server.restart()
    assert receive(server) == []
    server.call("ChangeMessageVisibility", QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=100)
    server.restart()
    server.now_ms += 20_000
    assert [m["Body"] for m in receive(server)] == ["delayed"]
    server.call("DeleteMessage", QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    server.restart()
    server.now_ms += 1_000_000
    assert [m["Body"] for m in receive(server)] == ["delayed"]


def test_a_clock_that_was_set_back_lengthens_no_lease_and_no_delay(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    send(server, "leased")
    receive(server, VisibilityTimeout=60)
    server.call("SendMessage", QueueUrl=URL, MessageBody="delayed", DelaySeconds=30)
    server.now_ms -= 3_600_000
    server.restart()
    assert receive(server) == []
    server.now_ms += 30_000
    assert [m["Body"] for m in receive(server)] == ["delayed"]
    server.now_ms += 30_000
    assert [m["Body"] for m in receive(server)] == ["leased", "delayed"]


def test_a_move_task_goes_on_after_a_restart(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="dlq")
    policy = json.dumps({"deadLetterTargetArn": ARN + "dlq", "maxReceiveCount": 1})
    server.call("CreateQueue", QueueName="q", Attributes={"RedrivePolicy": policy})
    for _ in range(5):
        send(server)
    for _ in range(2):
        receive(server, VisibilityTimeout=0)
    server.call("StartMessageMoveTask", SourceArn=ARN + "dlq", MaxNumberOfMessagesPerSecond=1)
    server.loop.run_until_complete(stepped(server))
    server.restart()
    for _ in range(6):
        server.now_ms += 1000
        server.loop.run_until_complete(stepped(server))
    (task,) = server.call("ListMessageMoveTasks", SourceArn=ARN + "dlq")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 5)
    assert len(receive(server)) == 5


async def stepped(server: InProcessServer) -> None:
    server.service._step()


def test_an_answer_that_nobody_gets_is_undone(server: InProcessServer) -> None:
    """The client goes after the decision and before the disk has it."""
    server.call("CreateQueue", QueueName="q")
    sent = send(server)

    async def receive_and_go() -> bytes:
        connection, wire = server.connect()
        feed(connection, request("ReceiveMessage", json.dumps({"QueueUrl": URL}).encode()))
        connection.connection_lost(None)
        await asyncio.sleep(0.01)
        return wire.written

    assert server.loop.run_until_complete(receive_and_go()) == b""
    server.restart()
    (message,) = receive(server)
    assert message["MessageId"] == sent
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_long_use_keeps_the_journal_short_and_everything_that_lives(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 32 * 1024)
    monkeypatch.setattr(cleaner, "STEP_ROOM_BYTES", 8 * 1024)
    monkeypatch.setattr(cleaner, "STEP_BYTES", 2 * 1024)
    monkeypatch.setattr("sqs.local.service.ROOM_BYTES", 2 * 1024)
    monkeypatch.setattr("sqs.local.polls.ROOM_BYTES", 2 * 1024)
    monkeypatch.setattr("sqs.local.service._RESERVE_BYTES", 0)
    monkeypatch.setattr(cleaner, "PAUSE_SECONDS", 0)
    server.call("CreateQueue", QueueName="q", tags={"kept": "yes"})
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true"})
    fifo = URL.replace("/q", "/f.fifo")
    fields = {"QueueUrl": fifo, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    remembered = server.call("SendMessage", **fields)["MessageId"]
    (message,) = receive(server, fifo)
    server.call("DeleteMessage", QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    old = [send(server, f"old-{number}" + "x" * 500) for number in range(20)]
    (leased, *_) = receive(server, VisibilityTimeout=43_000, MaxNumberOfMessages=1)
    for _ in range(600):
        send(server, "short-lived" * 20)
        for message in receive(server, VisibilityTimeout=43_000):
            if message["MessageId"] not in old:
                server.call("DeleteMessage", QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    assert server.service.journal.number > 10
    assert len(segments(tmp_path)) <= cleaner.MIN_SEGMENTS + 2
    server.restart()
    assert server.call("ListQueueTags", QueueUrl=URL)["Tags"] == {"kept": "yes"}
    assert server.call("SendMessage", **fields)["MessageId"] == remembered
    server.call("DeleteMessage", QueueUrl=URL, ReceiptHandle=leased["ReceiptHandle"])
    server.now_ms += 43_000_000
    found = receive(server) + receive(server)
    assert sorted(m["MessageId"] for m in found) == sorted(set(old) - {leased["MessageId"]})
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in found} == {"2"}


def test_reading_a_large_journal_is_quick(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    for _ in range(300):
        entries = [{"Id": str(number), "MessageBody": "x" * 1000} for number in range(10)]
        server.call("SendMessageBatch", QueueUrl=URL, Entries=entries)
    started = time.monotonic()
    server.restart()
    assert time.monotonic() - started < 10
    assert len(server.service.store.queues["q"].messages) == 3000
