"""Whatever is done, a server that is started again from the journal knows what the one before it knew."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcessServer, Refused

from celery_inference.sqs_local import dispatcher, long_polls
from celery_inference.sqs_local.journal import compaction, segment
from celery_inference.sqs_local.state import move_tasks, store
from celery_inference.sqs_local.state.deduplication import WINDOW_MS
from celery_inference.sqs_local.state.message import IN_FLIGHT, StoredMessage

ARN = "arn:aws:sqs:us-east-1:000000000000:"
QUEUES = ("a", "b", "dead", "a.fifo", "b.fifo", "dead.fifo")
RUNS = 12
STEPS = 600


def known(server: InProcessServer) -> dict[str, Any]:
    """All of the store that callers could notice."""
    shown: dict[str, Any] = {}
    for name, queue in server.service.store.queues.items():
        server.service.store.advance(queue, server.now_ms)
        shown[name] = {
            "attributes": dict(queue.settings.shown),
            "tags": queue.tags,
            "times": [queue.created_ms, queue.modified_ms, queue.purged_ms],
            "counts": [queue.ready, queue.in_flight, queue.delayed],
            "messages": {message.id: _row(message) for message in queue.messages.values()},
            "deduplication": {
                key: (sent.message_id, sent.sequence, sent.sent_ms)
                for key, sent in queue.dedup._sent.items()
                if sent.sent_ms > server.now_ms - WINDOW_MS
            },
        }
    tasks = server.service.moves._tasks.values()
    shown["tasks"] = {task.id: (task.moved, task.status, task.failure) for task in tasks}
    return shown


def _row(message: StoredMessage) -> list[Any]:
    row = message.row()
    if len(row) == 5:
        return row
    # When a message was last due, or received, says nothing of one that waits.
    *rest, received_ms, due_ms, state = row
    return [*rest, received_ms if state == IN_FLIGHT else 0, due_ms if state else 0, state]


class Play:
    """Random calls, from one seed."""

    def __init__(self, server: InProcessServer, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.handles: list[tuple[str, str]] = []
        self.tasks: list[str] = []
        for name in QUEUES:
            self.create(name)

    def call(self, operation: str, name: str | None = None, **fields: Any) -> dict[str, Any]:
        if name is not None:
            fields["QueueUrl"] = f"http://localhost/000000000000/{name}"
        return self.server.call(operation, **fields)

    def create(self, name: str) -> None:
        pick = self.random.choice
        attributes = {"VisibilityTimeout": pick("059"), "MessageRetentionPeriod": pick(["60", "600", "345600"])}
        attributes["DelaySeconds"] = pick("0003")
        if name.endswith(".fifo"):
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
            attributes["DeduplicationScope"] = pick(["queue", "messageGroup"])
        self.call("CreateQueue", QueueName=name, Attributes=attributes)
        if not name.startswith("dead"):
            self.redrive(name)

    def redrive(self, name: str) -> None:
        target = "dead.fifo" if name.endswith(".fifo") else "dead"
        if target in self.server.service.store.queues:
            policy = {"deadLetterTargetArn": ARN + target, "maxReceiveCount": self.random.randint(1, 2)}
            self.call("SetQueueAttributes", name, Attributes={"RedrivePolicy": json.dumps(policy)})

    def step(self) -> None:
        name = self.random.choice(QUEUES)
        acts = (
            (35, self.send),
            (30, self.receive),
            (15, self.delete),
            (7, self.change),
            (4, self.wait),
            (1, lambda name: self.call("PurgeQueue", name)),
            (1, self.recreate),
            (1, lambda name: self.call("TagQueue", name, Tags={"t": str(self.random.random())})),
            (2, self.redrive),
            (3, self.start_move),
            (1, self.cancel_move),
        )
        (act,) = self.random.choices([act for _, act in acts], [weight for weight, _ in acts])
        with suppress(Refused):
            act(name)

    def send(self, name: str) -> None:
        entry: dict[str, Any] = {"MessageBody": self.random.choice("abcdef") * self.random.choice([1, 100, 900])}
        if name.endswith(".fifo"):
            entry["MessageGroupId"] = self.random.choice("GHI")
            if self.random.random() < 0.5:
                entry["MessageDeduplicationId"] = str(self.random.randint(0, 20))
        elif self.random.random() < 0.3:
            entry["DelaySeconds"] = self.random.choice([0, 2, 50])
        self.call("SendMessage", name, **entry)

    def receive(self, name: str) -> None:
        asked: dict[str, Any] = {"MaxNumberOfMessages": self.random.randint(1, 10)}
        if self.random.random() < 0.5:
            asked["VisibilityTimeout"] = self.random.choice([0, 3, 100])
        if name.endswith(".fifo") and self.random.random() < 0.3:
            asked["ReceiveRequestAttemptId"] = self.random.choice("xy")
        messages = self.call("ReceiveMessage", name, **asked).get("Messages", [])
        self.handles += [(name, message["ReceiptHandle"]) for message in messages]

    def delete(self, _: str) -> None:
        if self.handles:
            name, handle = self.handles.pop(self.random.randrange(len(self.handles)))
            self.call("DeleteMessage", name, ReceiptHandle=handle)

    def change(self, _: str) -> None:
        if self.handles:
            name, handle = self.random.choice(self.handles)
            seconds = self.random.choice([0, 1, 200])
            self.call("ChangeMessageVisibility", name, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def wait(self, _: str) -> None:
        self.server.now_ms += self.random.choice([1, 1_000, 5_000, 70_000, 310_000])

    def recreate(self, name: str) -> None:
        self.call("DeleteQueue", name)
        self.create(name)

    def start_move(self, _: str) -> None:
        source = ARN + self.random.choice(["dead", "dead.fifo"])
        pace = {"MaxNumberOfMessagesPerSecond": 2} if self.random.random() < 0.5 else {}
        self.tasks.append(self.call("StartMessageMoveTask", SourceArn=source, **pace)["TaskHandle"])

    def cancel_move(self, _: str) -> None:
        if self.tasks:
            self.call("CancelMessageMoveTask", TaskHandle=self.random.choice(self.tasks))


@pytest.mark.parametrize("seed", range(RUNS))
def test_the_journal_says_all_that_the_server_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for module, name, value in (
        (segment, "ALLOCATION_BYTES", 4 * 1024),
        (segment, "SEGMENT_BYTES", 8 * 1024),
        (dispatcher, "ROOM_BYTES", 2 * 1024),
        (long_polls, "ROOM_BYTES", 2 * 1024),
        (compaction, "ROOM_BYTES", 2 * 1024),
        (compaction, "STEP_BYTES", 2 * 1024),
        (compaction, "STEP_LOOKS", 7),
        (compaction, "PAUSE_SECONDS", 0.0),
        (store, "MAX_NAMED", 5),
        (store, "MAX_MOVES_A_CALL", 3),
        (move_tasks, "MAX_MOVES_A_STEP", 3),
        (dispatcher, "STEP_ROOM_BYTES", 6 * 1024),
        (dispatcher, "_MOVE_STEP_SECONDS", 0.0),
    ):
        monkeypatch.setattr(module, name, value)
    server = InProcessServer(tmp_path / "data")
    play = Play(server, seed)
    looked = 0
    for number in range(STEPS):
        play.step()
        if number % 30 == 29:
            looked += 1
            assert known(read(server, tmp_path / "copy", monkeypatch)) == known(server), f"after step {number}"
            if looked % 3 == 0:
                server.restart()
    assert server.service.journal is not None
    assert server.service.journal.segments[0].number > 1, "the cleaner has worked"
    server.close()


def read(server: InProcessServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> InProcessServer:
    """What a kill at this moment would leave, read by another server, which does nothing of its own accord."""

    async def settled() -> None:
        await asyncio.sleep(0)

    server.loop.run_until_complete(settled())
    assert server.service.journal is not None
    server.service.commit()
    server.service.journal.write()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(server._data or "", folder)
    with monkeypatch.context() as still:
        still.setattr(dispatcher.Dispatcher, "_plan_step", lambda self: None)
        still.setattr(dispatcher.Dispatcher, "_sweep", lambda self: None)
        still.setattr("in_process.START_MS", server.now_ms)
        other = InProcessServer(folder)
    other.close()
    return other
