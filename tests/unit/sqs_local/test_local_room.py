"""However much happens at once, no line of the journal is written over, and a full disk ends nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from in_process import InProcessServer, Refused, feed, request

from celery_inference.sqs_local.journal import journal, segment
from celery_inference.sqs_local.journal.journal import Journal

ARN = "arn:aws:sqs:us-east-1:000000000000:"
MANY = 12_000  # of 39 bytes each in one line: more than three times the room of a request


def url(name: str) -> str:
    return f"http://localhost/000000000000/{name}"


def make(server: InProcessServer, name: str, **attributes: str) -> None:
    server.call("CreateQueue", QueueName=name, Attributes=attributes)


def fill(server: InProcessServer, name: str, count: int, body: str = "x", **fields: object) -> None:
    for start in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": body, **fields} for n in range(min(10, count - start))]
        server.call("SendMessageBatch", QueueUrl=url(name), Entries=entries)


def count(server: InProcessServer, name: str) -> int:
    names = ["ApproximateNumberOfMessages"]
    shown = server.call("GetQueueAttributes", QueueUrl=url(name), AttributeNames=names)["Attributes"]
    return int(shown[names[0]])


def assert_kept(server: InProcessServer, **counts: int) -> None:
    server.restart()
    assert server.lost_bytes == 0
    assert {name: count(server, name) for name in counts} == counts


def wait_for_moves(server: InProcessServer) -> None:
    async def ended() -> None:
        while server.service.moves.running:
            await asyncio.sleep(0.01)

    server.loop.run_until_complete(asyncio.wait_for(ended(), 60))


async def reconciled(server: InProcessServer) -> None:
    server.service._sweep()
    await asyncio.sleep(0)


def test_a_line_that_outgrew_its_room_is_not_written_over(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.start([["header"]])
    kept.append([["x" * 3 * segment.ALLOCATION_BYTES]])
    kept.sync()
    kept.make_room(journal.ROOM_BYTES, lambda: [["header"]], growing=True)
    kept.append([["behind it"]])
    kept.sync()
    kept.close()
    again = Journal(tmp_path)
    lines = [events for _, events in again.read()]
    again.close()
    assert [line[0][0][:9] for line in lines] == ["header", "xxxxxxxxx", "behind it"]


def test_many_that_expire_together_cost_no_other_message(server: InProcessServer) -> None:
    make(server, "short", MessageRetentionPeriod="60")
    make(server, "long")
    fill(server, "short", 30_000)  # whose ids would be more than a whole allocation
    server.now_ms += 61_000
    server.loop.run_until_complete(reconciled(server))
    fill(server, "long", 2_000)
    assert_kept(server, short=0, long=2_000)


def test_what_expired_does_not_come_back_when_retention_grows(server: InProcessServer) -> None:
    make(server, "q", MessageRetentionPeriod="60")
    fill(server, "q", 1_500)
    server.now_ms += 61_000
    fill(server, "q", 10)
    server.call("SetQueueAttributes", QueueUrl=url("q"), Attributes={"MessageRetentionPeriod": "86400"})
    assert_kept(server, q=10)


def test_many_dead_letters_and_a_poll_cost_no_other_message(server: InProcessServer) -> None:
    make(server, "dead-letters-of-" + "q" * 64)
    target = json.dumps({"deadLetterTargetArn": f"{ARN}dead-letters-of-{'q' * 64}", "maxReceiveCount": "1"})
    make(server, "q", RedrivePolicy=target, VisibilityTimeout="1")
    fill(server, "q", MANY)
    for _ in range(MANY // 10):
        server.call("ReceiveMessage", QueueUrl=url("q"), MaxNumberOfMessages=10)
    server.now_ms += 2_000
    poll, _ = server.connect()
    asked = {"QueueUrl": url("q"), "WaitTimeSeconds": 20}

    async def polled() -> None:
        feed(poll, request("ReceiveMessage", json.dumps(asked).encode()))
        await asyncio.sleep(0.01)

    server.loop.run_until_complete(polled())
    make(server, "other")
    fill(server, "other", 2_000)
    poll.connection_lost(None)
    server.restart()
    assert server.lost_bytes == 0
    assert count(server, "other") == 2_000
    assert count(server, "q") + count(server, "dead-letters-of-" + "q" * 64) == MANY


def test_a_move_of_large_attributes_costs_no_other_message(server: InProcessServer) -> None:
    make(server, "dead")
    make(server, "q", RedrivePolicy=json.dumps({"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": "1"}))
    make(server, "other")
    attribute = {"DataType": "String", "StringValue": "é" * 50_000}
    fill(server, "dead", 70, MessageAttributes={"large": attribute})
    server.call("StartMessageMoveTask", SourceArn=f"{ARN}dead", DestinationArn=f"{ARN}q")
    wait_for_moves(server)
    fill(server, "other", 2_000)
    assert_kept(server, dead=0, q=70, other=2_000)


def test_moves_that_run_together_stay_within_the_room_that_was_made(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"q{number}" for number in range(8)]
    for name in names:
        make(server, f"dead-{name}")
        make(server, name, RedrivePolicy=json.dumps({"deadLetterTargetArn": f"{ARN}dead-{name}", "maxReceiveCount": 1}))
        for _ in range(2):
            server.call("SendMessage", QueueUrl=url(f"dead-{name}"), MessageBody="x" * 1_000_000)
    append, outgrown = Journal._append, []

    def watched(self: Journal, line: bytes) -> None:
        allocated = self.segments[-1].allocated
        append(self, line)
        if self.segments[-1].end > allocated:
            outgrown.append(len(line))

    monkeypatch.setattr(Journal, "_append", watched)
    for name in names:
        server.call("StartMessageMoveTask", SourceArn=f"{ARN}dead-{name}", DestinationArn=f"{ARN}{name}")
    wait_for_moves(server)
    assert outgrown == []
    assert_kept(server, **dict.fromkeys(names, 2))


def test_a_trace_header_has_a_bound_and_counts_where_messages_are_copied(server: InProcessServer) -> None:
    make(server, "q")
    entry = {"QueueUrl": url("q"), "MessageBody": "x"}
    header = {"DataType": "String", "StringValue": "R" * 4_097}
    with pytest.raises(Refused, match="InvalidParameterValueException"):
        server.call("SendMessage", **entry, MessageSystemAttributes={"AWSTraceHeader": header})
    header["StringValue"] = "R" * 4_096
    server.call("SendMessage", **entry, MessageSystemAttributes={"AWSTraceHeader": header})
    (message,) = server.service.store.queues["q"].messages.values()
    assert message.content_bytes() == 1 + 4_096


def test_what_a_killed_server_wrote_is_synced_before_anybody_is_told_of_it(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(server, "q")
    fill(server, "q", 10)
    server.kill()
    synced: list[int] = []
    monkeypatch.setattr(journal, "_sync_data", synced.append)
    server._start()
    assert server._journal is not None
    assert synced == [server._journal.segments[-1].fd]


def test_what_is_cut_off_is_kept_beside_the_journal(server: InProcessServer, tmp_path: Path) -> None:
    make(server, "q")
    fill(server, "q", 10)
    server.kill()
    (path,) = tmp_path.glob("journal-*.log")
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-5])
    server._start()
    assert server.lost_bytes > 0
    (aside,) = tmp_path.glob("journal-*.cut-*")
    assert data[:-5].endswith(aside.read_bytes())
    assert len(aside.read_bytes()) == server.lost_bytes
    assert aside.stat().st_mode & 0o777 == 0o600
