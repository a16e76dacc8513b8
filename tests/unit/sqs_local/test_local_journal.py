"""The journal: what a crash and long use leave of it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import in_process
import pytest
from in_process import START_MS, URL, InProcessServer, feed, receive, request, send

from celery_inference.sqs_local.journal import compaction, journal, segment
from celery_inference.sqs_local.journal.journal import Journal, JournalError
from celery_inference.sqs_local.state.deduplication import WINDOW_MS
from celery_inference.sqs_local.state.queue_attributes import QueueAttributes

ARN = "arn:aws:sqs:us-east-1:000000000000:"
FIFO = URL.replace("/q", "/f.fifo")


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
    path = several(server, tmp_path, monkeypatch)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match=f"{path.name} is damaged at byte"):
        server._start()


def test_a_crash_at_the_turn_of_a_segment_loses_nothing_that_was_answered(
    server: InProcessServer, tmp_path: Path
) -> None:
    """The new file is there, and half of its first line."""
    server.call("CreateQueue", QueueName="q")
    sent = [send(server)]
    server.kill()
    (tmp_path / "journal-00000002.log").write_bytes(b"0123abcd [[" + bytes(4096))
    server._start()
    assert server.lost_bytes == 11
    assert len(segments(tmp_path)) == 1
    sent.append(send(server))
    server.restart()
    assert [message["MessageId"] for message in receive(server)] == sent


def test_a_torn_file_with_an_empty_one_behind_it_loses_nothing_that_was_answered(
    server: InProcessServer, tmp_path: Path
) -> None:
    server.call("CreateQueue", QueueName="q")
    sent = [send(server)]
    server.kill()
    (old,) = segments(tmp_path)
    data = old.read_bytes()
    end = len(data.rstrip(b"\0"))
    old.write_bytes(data[:end] + b"0123abcd [[" + data[end + 11 :])
    (tmp_path / "journal-00000002.log").write_bytes(bytes(4096))
    server._start()
    assert server.lost_bytes == 11
    sent.append(send(server))
    server.restart()
    assert server.lost_bytes == 0
    assert [message["MessageId"] for message in receive(server)] == sent


def several(server: InProcessServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of a journal that has more than two."""
    monkeypatch.setattr(segment, "SEGMENT_BYTES", 4096)
    monkeypatch.setattr("celery_inference.sqs_local.dispatcher.ROOM_BYTES", 1024)
    server.call("CreateQueue", QueueName="q")
    for number in range(300):
        send(server, str(number))
    server.kill()
    paths = segments(folder)
    assert len(paths) > 2
    return paths


def test_an_older_file_that_is_missing_stops_the_start(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = several(server, tmp_path, monkeypatch)[1]
    lost.unlink()
    with pytest.raises(JournalError, match=f"is missing: {lost.name}"):
        server._start()


@pytest.mark.parametrize("all_of_them", [False, True])
def test_the_oldest_file_that_is_missing_stops_the_start(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_of_them: bool
) -> None:
    files = several(server, tmp_path, monkeypatch)
    for path in files if all_of_them else files[:1]:
        path.unlink()
    with pytest.raises(JournalError, match=f"the oldest file of the journal is missing: .*{files[0].name}"):
        server._start()


def test_a_folder_that_does_not_say_which_file_is_its_oldest_is_read_and_says_it_from_then_on(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an earlier version; or somebody goes on without messages that are lost."""
    files, oldest = several(server, tmp_path, monkeypatch), tmp_path / "journal.oldest"
    oldest.unlink()
    files[0].unlink()
    server._start()
    assert int(oldest.read_text()) == int(files[1].stem.removeprefix("journal-"))


@pytest.mark.parametrize("kept_lines", [0, 1, 3])
def test_an_older_file_that_is_shorter_than_it_was_stops_the_start(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_lines: int
) -> None:
    path = several(server, tmp_path, monkeypatch)[1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept_lines]))
    with pytest.raises(JournalError, match=f"{path.name} is damaged at byte"):
        server._start()


def test_a_journal_of_earlier_versions_is_read(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files say nothing of those before them, and its FIFO messages are noted as all others."""
    for path in several(server, tmp_path, monkeypatch):
        lines = path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
        first = [event for event in segment.decoded(lines[0]) or [] if event[0] != journal.AFTER]
        path.write_bytes(segment.encoded(first) + b"".join(lines[1:]))
    server._start()
    assert sum(len(queue.messages) for queue in server.service.store.queues.values()) == 300
    assert server.lost_bytes == 0


def test_other_files_in_the_folder_are_left_alone(server: InProcessServer, tmp_path: Path) -> None:
    server.kill()
    names = ["journal-old.log", "journal-00000001 (copy).log", "journal-1.log", "notes.txt"]
    for name in names:
        (tmp_path / name).write_text("mine")
    server._start()
    assert {(tmp_path / name).read_text() for name in names} == {"mine"}


def test_a_long_journal_needs_few_open_files(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(several(server, tmp_path, monkeypatch))
    before = len(os.listdir("/proc/self/fd"))
    server._start()
    assert len(os.listdir("/proc/self/fd")) - before < 5 < count
    for number in range(100):
        send(server, str(number))
    assert len(os.listdir("/proc/self/fd")) - before < 5


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


def test_a_dead_letter_of_a_fifo_queue_keeps_its_new_age_and_id_over_a_restart(server: InProcessServer) -> None:
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "MessageRetentionPeriod": "60"}
    server.call("CreateQueue", QueueName="dlq.fifo", Attributes=fifo)
    policy = json.dumps({"deadLetterTargetArn": ARN + "dlq.fifo", "maxReceiveCount": 1})
    server.call("CreateQueue", QueueName="q.fifo", Attributes={**fifo, "RedrivePolicy": policy})
    url, dlq = URL.replace("/q", "/q.fifo"), URL.replace("/q", "/dlq.fifo")
    sent = server.call("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
    receive(server, url, VisibilityTimeout=0)
    server.now_ms += 50_000
    assert receive(server, url) == []
    for restart in (False, True):
        if restart:
            server.restart()
        server.now_ms += 20_000
        (dead,) = receive(server, dlq, VisibilityTimeout=0)
        assert dead["Attributes"]["SentTimestamp"] == str(START_MS + 50_000)
        assert dead["Attributes"]["MessageDeduplicationId"] == sent["MessageId"]
    server.now_ms += 20_000
    assert receive(server, dlq) == []


def test_dead_letters_of_older_journals_keep_what_they_came_with(server: InProcessServer) -> None:
    """Their events carry no time."""
    for name in ("dlq.fifo", "q.fifo"):
        server.call("CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"})
    url, dlq = URL.replace("/q", "/q.fifo"), URL.replace("/q", "/dlq.fifo")
    fields = {"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    sent = server.call("SendMessage", **fields)
    server.service.store.events.append(["moved", "q.fifo", "dlq.fifo", sent["MessageId"], ARN + "q.fifo"])
    server.now_ms += 1000
    server.call("ListQueues")
    server.restart()
    (dead,) = receive(server, dlq)
    assert dead["Attributes"]["MessageDeduplicationId"] == "d"
    assert dead["Attributes"]["SentTimestamp"] == str(START_MS)
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "q.fifo"


def send_fifo(server: InProcessServer, dedup_id: str) -> str:
    fields = {"MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": dedup_id}
    return str(server.call("SendMessage", QueueUrl=FIFO, **fields)["MessageId"])


def purge_a_delayed_send(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true", "DelaySeconds": "100"})
    send_fifo(server, "d")
    server.call("PurgeQueue", QueueUrl=FIFO)
    server.call("SetQueueAttributes", QueueUrl=FIFO, Attributes={"DelaySeconds": "0"})


def test_a_purge_forgets_deduplication_ids_over_a_restart_too(server: InProcessServer) -> None:
    purge_a_delayed_send(server)
    server.restart()
    sent = send_fifo(server, "d")
    assert [message["MessageId"] for message in receive(server, FIFO)] == [sent]


def test_a_purge_leaves_no_delay_that_others_wait_for(server: InProcessServer) -> None:
    purge_a_delayed_send(server)
    send_fifo(server, "d")
    assert len(receive(server, FIFO)) == 1


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


def test_dead_letters_and_moves_go_on_in_another_region(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ARNs in the journal are of the region that the server had when they were set."""
    server.call("CreateQueue", QueueName="dlq")
    policy = json.dumps({"deadLetterTargetArn": ARN + "dlq", "maxReceiveCount": 1})
    server.call("CreateQueue", QueueName="q", Attributes={"RedrivePolicy": policy})
    for _ in range(2):
        send(server)
    receive(server, VisibilityTimeout=0)
    receive(server, VisibilityTimeout=0)
    server.call("StartMessageMoveTask", SourceArn=ARN + "dlq", MaxNumberOfMessagesPerSecond=1)
    service = in_process.Dispatcher
    monkeypatch.setattr(
        in_process, "Dispatcher", lambda journal, **rest: service(journal, **{**rest, "region": "moon"})
    )
    server.restart()
    moon = ARN.replace("us-east-1", "moon")
    assert server.call("ListDeadLetterSourceQueues", QueueUrl=URL.replace("/q", "/dlq"))["queueUrls"] == [URL]
    server.call("SetQueueAttributes", QueueUrl=URL, Attributes={"VisibilityTimeout": "1"})
    for _ in range(3):
        server.now_ms += 1000
        server.loop.run_until_complete(stepped(server))
    (task,) = server.call("ListMessageMoveTasks", SourceArn=moon + "dlq")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    assert len(receive(server, VisibilityTimeout=0)) == 2
    assert receive(server) == []
    assert len(receive(server, URL.replace("/q", "/dlq"))) == 2


def test_settings_that_are_refused_by_now_are_read(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    queue = server.service.store.queues["q.fifo"]
    older = {"FifoThroughputLimit": "perMessageGroupId", "KmsMasterKeyId": "k" * 5_000, "Policy": "x" * 10_000}
    queue.settings = QueueAttributes.restore({**queue.settings.shown, **older})
    server.service.store.record_queue(queue)
    server.call("ListQueues")
    server.restart()
    url = URL.replace("/q", "/q.fifo")
    server.call("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    shown = server.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert shown["VisibilityTimeout"] == "7"
    assert {name: shown[name] for name in older} == older


async def stepped(server: InProcessServer) -> None:
    server.service._step()


def test_an_answer_that_nobody_gets_is_undone(server: InProcessServer) -> None:
    """The client goes after the decision and before the disk has it."""
    server.call("CreateQueue", QueueName="q")

    async def receive_and_go() -> bytes:
        connection, wire = server.connect()
        feed(server.connect()[0], request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": "x"}).encode()))
        feed(connection, request("ReceiveMessage", json.dumps({"QueueUrl": URL}).encode()))
        connection.connection_lost(None)
        await asyncio.sleep(0.01)
        return wire.written

    assert server.loop.run_until_complete(receive_and_go()) == b""
    server.restart()
    (message,) = receive(server)
    assert message["Body"] == "x"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_long_use_keeps_the_journal_short_and_everything_that_lives(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "SEGMENT_BYTES", 32 * 1024)
    monkeypatch.setattr(compaction, "STEP_BYTES", 2 * 1024)
    monkeypatch.setattr("celery_inference.sqs_local.dispatcher.ROOM_BYTES", 2 * 1024)
    monkeypatch.setattr("celery_inference.sqs_local.long_polls.ROOM_BYTES", 2 * 1024)
    monkeypatch.setattr("celery_inference.sqs_local.journal.compaction.ROOM_BYTES", 2 * 1024)
    monkeypatch.setattr(compaction, "PAUSE_SECONDS", 0)
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
    server.clean()
    assert len(segments(tmp_path)) <= compaction.MIN_SEGMENTS + 2
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


def test_a_copy_of_an_old_message_is_no_send_under_its_deduplication_id(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true"})
    old = send_fifo(server, "d")
    server.now_ms += WINDOW_MS + 1
    new = send_fifo(server, "d")
    (queue,) = server.service.store.queues.values()
    server.service.store.record_message(queue, queue.messages[old])
    receive(server, FIFO)  # which writes it
    server.restart()
    assert old != new == send_fifo(server, "d")


def test_a_message_that_is_moved_back_is_no_send_under_its_deduplication_id(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="dead.fifo", Attributes={"FifoQueue": "true"})
    policy = json.dumps({"deadLetterTargetArn": f"{ARN}dead.fifo", "maxReceiveCount": 1})
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true", "RedrivePolicy": policy})
    first = send_fifo(server, "d")
    for _ in range(2):
        receive(server, FIFO, VisibilityTimeout=0)
    server.now_ms += WINDOW_MS + 1
    server.call("StartMessageMoveTask", SourceArn=f"{ARN}dead.fifo")
    server.loop.run_until_complete(stepped(server))
    server.call("ListQueues")
    server.restart()
    second = send_fifo(server, "d")
    found = {message["MessageId"] for message in receive(server, FIFO)}
    assert len(found) == 2
    assert second in found
    assert first not in found


def test_a_clock_that_was_set_back_lengthens_no_deduplication_and_no_pause_of_purges(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true"})
    first = send_fifo(server, "d")
    server.call("CreateQueue", QueueName="q")
    server.call("PurgeQueue", QueueUrl=URL)
    server.now_ms -= 86_400_000
    server.restart()
    assert send_fifo(server, "d") == first
    server.now_ms += 60_000
    server.call("PurgeQueue", QueueUrl=URL)
    server.now_ms += WINDOW_MS
    assert send_fifo(server, "d") != first


def test_deduplication_ids_longer_than_a_few_files_are_not_copied_for_ever(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    server.call("CreateQueue", QueueName="f.fifo", Attributes={"FifoQueue": "true"})
    for number in range(1_000):
        send_fifo(server, f"{number:0100d}")
    server.call("PurgeQueue", QueueUrl=FIFO)
    assert server.service.journal.number > 3 * compaction.MIN_SEGMENTS
    server.clean()
    server.now_ms += WINDOW_MS + 1
    server.call("CreateQueue", QueueName="q")
    for _ in range(300):
        send(server, "x" * 100)
    server.clean()
    assert len(server.service.journal.segments) < 3 * compaction.MIN_SEGMENTS


def test_a_header_longer_than_a_file_is_not_copied_for_ever(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    for number in range(100):
        server.call("CreateQueue", QueueName=f"q{number}", tags={"tag": "x" * 256})
    server.call("CreateQueue", QueueName="q")
    for _ in range(3_000):
        send(server, "x" * 100)
    assert server.service.journal.header_bytes > segment.SEGMENT_BYTES
    drained = 0
    while messages := receive(server):
        drained += len(messages)
        for message in messages:
            server.call("DeleteMessage", QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    assert drained == 3_000
    server.clean()
    server.restart()
    assert len(server.call("ListQueues")["QueueUrls"]) == 101


def test_a_file_that_cannot_be_removed_is_removed_later(
    server: InProcessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    server.call("CreateQueue", QueueName="q")
    unlink, refused = Path.unlink, []

    def refuse_once(path: Path, missing_ok: bool = False) -> None:
        if not refused:
            refused.append(path)
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse_once)
    for _ in range(2_000):
        send(server, "x" * 100)
        for message in receive(server):
            server.call("DeleteMessage", QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    server.clean()
    assert refused
    assert not refused[0].exists()
    assert len(segments(tmp_path)) <= compaction.MIN_SEGMENTS + 2


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 16 KiB."""
    monkeypatch.setattr(segment, "SEGMENT_BYTES", 16 * 1024)
    monkeypatch.setattr(compaction, "STEP_BYTES", 2 * 1024)
    for room in ("dispatcher", "long_polls", "journal.compaction"):
        monkeypatch.setattr(f"celery_inference.sqs_local.{room}.ROOM_BYTES", 1024)
    monkeypatch.setattr(compaction, "PAUSE_SECONDS", 0.0)
