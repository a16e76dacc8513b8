"""A disk that is full: what is there can be received and deleted, and then there is room again."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from in_process import URL, InProcessServer, Refused, receive, send

from celery_inference.sqs_local.journal import compaction, segment

MIB = 1024 * 1024
BODY = "x" * 100_000
FIFO = URL.replace("/q", "/f.fifo")
OTHER = URL.replace("/q", "/other")


class Disk:
    """A disk of `size_bytes`, full where files are allocated for more than that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size_bytes = 1 << 40

    def allocate(self, fd: int, offset: int, length: int) -> None:
        used = sum(path.stat().st_size for path in self.folder.iterdir())
        if max(0, offset + length - os.fstat(fd).st_size) + used > self.size_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        os.posix_fallocate(fd, offset, length)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path)
    monkeypatch.setattr(segment, "_allocate", made.allocate)
    monkeypatch.setattr(segment, "SEGMENT_BYTES", MIB)
    monkeypatch.setattr(compaction, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(compaction, "AGAIN_TIMES", 0)
    return made


@pytest.fixture
def server(disk: Disk, tmp_path: Path) -> Iterator[InProcessServer]:
    server = InProcessServer(tmp_path)
    server.failed = []  # type: ignore[attr-defined]
    server.service._failed = server.failed.append  # type: ignore[attr-defined]
    server.call("CreateQueue", QueueName="q")
    server.call("CreateQueue", QueueName="other")
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true"})
    yield server
    assert server.failed == [], "the server did not end"  # type: ignore[attr-defined]
    server.close()


def fill(server: InProcessServer, body: str = BODY, **fields: Any) -> int:
    """Sends until the disk is full; how many were sent."""
    for count in range(100_000):
        try:
            entry = {"QueueUrl": URL, "MessageBody": body} | fields
            server.call("SendMessage", **{k: v(count) if callable(v) else v for k, v in entry.items()})
        except Refused as error:
            if str(error) != "ServiceUnavailable":
                raise
            return count
    raise AssertionError("a disk without end")


def drain(server: InProcessServer, url: str = URL, at_most: int = 1_000_000) -> int:
    """Receives and deletes; how many."""
    done = 0
    while done < at_most and (messages := receive(server, url)):
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        assert "Failed" not in server.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)
        done += len(messages)
    return done


def test_all_that_was_sent_can_be_consumed_and_then_there_is_room(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 5 * MIB
    sent = fill(server)
    assert sent > 20
    assert drain(server) == sent
    assert fill(server) == 0, "not yet: it is cleaned now"
    server.clean()
    kept = [send(server, BODY) for _ in range(5)]
    server.restart()
    assert [message["MessageId"] for message in receive(server)] == kept


def test_many_small_messages_can_be_consumed(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 4 * MIB
    sent = fill(server, "x" * 200)
    assert sent > 2_000
    done = 0
    for _ in range(sent):
        try:
            done += drain(server)
        except Refused:  # until the oldest file is gone, of which nothing lives by now
            server.clean()
        if done == sent:
            break
    assert done == sent


def test_the_only_file_is_begun_anew(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 2 * MIB + 21  # with the spare, and the number of the oldest file
    sent = fill(server, "x" * 50_000)
    assert drain(server) == sent
    assert fill(server, "x" * 50_000) == 0
    server.clean()
    assert fill(server, "x" * 50_000) > 5


def test_one_old_message_does_not_keep_a_file(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 5 * MIB
    old = send(server, "old", OTHER)
    sent = fill(server)
    assert drain(server) == sent
    fill(server)
    server.clean()
    assert fill(server) > sent / 2
    assert [message["MessageId"] for message in receive(server, OTHER)] == [old]


@pytest.mark.parametrize(("body", "count"), [("x" * 20_000, 25), ("x" * 20, 1_500)])
def test_what_lives_in_the_oldest_file_does_not_keep_the_others(
    server: InProcessServer, disk: Disk, body: str, count: int
) -> None:
    disk.size_bytes = 9 * MIB
    old = [send(server, body, OTHER) for _ in range(count)]
    sent = fill(server)
    assert drain(server) == sent
    fill(server)
    server.clean()
    assert fill(server) > sent / 2
    server.restart()
    found: list[str] = []
    while messages := receive(server, OTHER):
        found += [message["MessageId"] for message in messages]
    assert found == old


@pytest.mark.parametrize("body", ['"' * 12_000, '"xx' * 4_000, "\n" * 12_000])
def test_escapes_cost_what_they_take_on_the_disk(server: InProcessServer, disk: Disk, body: str) -> None:
    """All that is there lives: cleaning would copy without end, or fill the spare, and give nothing back."""
    disk.size_bytes = 5 * MIB
    sent = fill(server, body)
    journal = server.service.journal
    assert journal is not None
    before = journal.number
    for _ in range(20):
        fill(server, body)
        server.clean()
    assert journal.number <= before + 1
    assert journal.has_spare
    assert drain(server) == sent


def test_the_spare_grows_with_the_header(server: InProcessServer, disk: Disk) -> None:
    """Of many queues with long tags: a file that begins with it is longer than others."""
    for number in range(150):
        server.call("CreateQueue", QueueName=f"long-{number}", tags={str(n): "x" * 256 for n in range(50)})
    journal = server.service.journal
    assert journal is not None
    for _ in range(60):
        send(server, BODY)
    assert journal.header_bytes > MIB
    disk.size_bytes = sum(path.stat().st_size for path in disk.folder.iterdir()) + MIB
    sent = fill(server, "x" * 2_000)
    assert sent > 100
    assert drain(server) == sent + 60


def test_where_nothing_can_be_cleaned_it_is_tried_once_in_a_while(
    server: InProcessServer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    work = compaction.Compaction._work

    def watched(self: compaction.Compaction, journal: Any, disk_full: bool) -> Any:
        begun.append(disk_full)
        return work(self, journal, disk_full)

    def refused() -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(compaction.Compaction, "_work", watched)
    monkeypatch.setattr(server.service.journal, "drop_oldest", refused)
    disk.size_bytes = 2 * MIB
    sent = fill(server, "x" * 50_000)
    server.clean()
    assert drain(server) == sent
    begun.clear()
    monkeypatch.setattr(compaction, "AGAIN_SECONDS", 60.0)
    for _ in range(20):
        fill(server, "x" * 50_000)
        server.clean()
    assert begun.count(True) == 1


def test_the_oldest_file_goes_although_the_others_are_full(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 6 * MIB
    sent = fill(server)
    assert drain(server, at_most=10) == 10
    fill(server)
    server.clean()
    assert fill(server) > 5
    assert sent > 20


def test_deduplication_ids_whose_time_is_over_keep_no_file(server: InProcessServer, disk: Disk) -> None:
    disk.size_bytes = 4 * MIB
    fields = {"QueueUrl": FIFO, "MessageGroupId": "g", "MessageDeduplicationId": lambda count: f"d{count}"}
    sent = fill(server, **fields)
    done = 0
    while done < sent:
        done += drain(server, FIFO)
    server.now_ms += 3_600_000
    fill(server, **fields)
    server.clean()
    assert fill(server, **fields) > 5


def test_a_restart_on_a_full_disk_after_a_torn_write_gives_nothing_away(
    server: InProcessServer, disk: Disk, tmp_path: Path
) -> None:
    disk.size_bytes = 4 * MIB
    sent = fill(server)
    server.kill()
    newest = max(tmp_path.glob("journal-*.log"))
    data = newest.read_bytes()
    end = len(data.rstrip(b"\0"))
    newest.write_bytes(data[:end] + b"0123abcd [[" + data[end + 11 :])
    disk.size_bytes = 0  # what others took
    server._start()
    assert server.lost_bytes == 11
    assert drain(server) == sent


def test_a_restart_on_a_full_disk_after_a_crash_at_the_turn(
    server: InProcessServer, disk: Disk, tmp_path: Path
) -> None:
    sent = send(server)
    server.kill()
    (tmp_path / "journal-00000002.log").touch()
    disk.size_bytes = 0
    server._start()
    assert [message["MessageId"] for message in receive(server)] == [sent]


def test_expiry_on_a_full_disk_waits_for_room(server: InProcessServer, disk: Disk) -> None:
    server.call("SetQueueAttributes", QueueUrl=URL, Attributes={"MessageRetentionPeriod": "60"})
    disk.size_bytes = 4 * MIB
    fill(server, "x" * 200)
    journal = server.service.journal
    assert journal is not None
    journal._spare.unlink()
    journal.spare_bytes = 0
    active = journal.segments[-1]
    active.allocated = active.end  # no byte is left
    disk.size_bytes = 0
    server.now_ms += 61_000

    async def reconciled() -> None:
        server.service._sweep()
        await asyncio.sleep(0.05)

    server.loop.run_until_complete(reconciled())
    assert active.end == active.allocated
    disk.size_bytes = 1 << 40
    server.loop.run_until_complete(reconciled())
    server.restart()
    assert receive(server) == []


def test_a_nearly_full_disk_refuses_a_form_whose_quotes_are_escaped(server: InProcessServer, disk: Disk) -> None:
    """Its line in the journal is twice as long as its body."""
    disk.size_bytes = 4 * MIB
    fill(server)
    body = b"Action=SendMessage&Version=2012-11-05&QueueUrl=" + URL.encode() + b"&MessageBody=" + b'"' * 400_000
    head = "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for _ in range(3):
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

        async def sent(data: bytes = data) -> bytes:
            connection, wire = server.connect()
            connection.data_received(data)
            await asyncio.sleep(0.05)
            return wire.written

        assert server.loop.run_until_complete(sent()).split()[1] in (b"200", b"503")


def test_large_requests_that_store_nothing_take_no_room(server: InProcessServer, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    for _ in range(3):
        server.call("GetQueueAttributes", QueueUrl=URL, AttributeNames=["All"], Unknown="x" * 4 * MIB)
    assert {path.name for path in tmp_path.iterdir()} == before
