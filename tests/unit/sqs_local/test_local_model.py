"""Random operations, against the server and against SQS in its plainest form: both must say the same.

The server restarts in between, with what is in its journal alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from in_process import InProcessServer, Refused
from tiny_sqs import TinyMessage, TinyQueue

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what a restart finds matters here, not the disk's pace
URL = "http://localhost/000000000000/"
MAX_RECEIVES = 3
RETENTION_SECONDS = 600
JUNK = [
    ("ReceiveMessage", {"MaxNumberOfMessages": 11}),
    ("ReceiveMessage", {"MaxNumberOfMessages": "1"}),
    ("ReceiveMessage", {"VisibilityTimeout": -1}),
    ("ReceiveMessage", {"AttributeNames": "All"}),
    ("SendMessage", {}),
    ("SendMessage", {"MessageBody": 5}),
    ("SendMessage", {"MessageBody": "\x00"}),
    ("SendMessage", {"MessageBody": "\ud800"}),
    ("SendMessage", {"MessageBody": "x", "DelaySeconds": 901}),
    ("SendMessage", {"MessageBody": "x", "DelaySeconds": 1.5}),
    ("SendMessage", {"MessageBody": "x", "MessageAttributes": [1]}),
    ("SendMessage", {"MessageBody": "x", "MessageAttributes": {"a": "b"}}),
    ("SendMessageBatch", {"Entries": [{"MessageBody": "x"}]}),
    ("SendMessageBatch", {"Entries": "many"}),
    ("DeleteMessage", {"ReceiptHandle": "nonsense"}),
    ("DeleteMessage", {"ReceiptHandle": {}}),
    ("ChangeMessageVisibility", {"ReceiptHandle": "nonsense", "VisibilityTimeout": 1}),
    ("SetQueueAttributes", {"Attributes": {"VisibilityTimeout": 1}}),
    ("TagQueue", {"Tags": {"a": "\udfff"}}),
    ("StartMessageMoveTask", {"SourceArn": []}),
    ("NoSuchOperation", {}),
]


class Handle:
    """A receipt handle and the delivery that it stands for."""

    def __init__(self, text: str, message: TinyMessage) -> None:
        self.text, self.message, self.delivery = text, message, message.receives


class ServerAgainstModel(RuleBasedStateMachine):
    handles = Bundle("handles")
    fifo = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sqs-model-", dir=MEMORY))
        self.server = InProcessServer(self.folder)
        self.dead = TinyQueue(self.fifo)
        self.queue = TinyQueue(self.fifo, RETENTION_SECONDS * 1000, MAX_RECEIVES, self.dead)
        self.ending = ".fifo" if self.fifo else ""

    def teardown(self) -> None:
        self.server.close()
        shutil.rmtree(self.folder)

    @initialize()
    def make_queues(self) -> None:
        fifo = {"FifoQueue": "true"} if self.fifo else {}
        self.call("CreateQueue", QueueName="dlq" + self.ending, Attributes=fifo)
        target = f"arn:aws:sqs:us-east-1:000000000000:dlq{self.ending}"
        redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": MAX_RECEIVES})
        attributes = {**fifo, "RedrivePolicy": redrive, "MessageRetentionPeriod": str(RETENTION_SECONDS)}
        self.call("CreateQueue", QueueName="q" + self.ending, Attributes=attributes)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        return self.server.call(operation, **fields)

    def url(self, dead: bool = False) -> str:
        return URL + ("dlq" if dead else "q") + self.ending

    @property
    def now_ms(self) -> int:
        for queue in (self.queue, self.dead):
            queue.forget_old(self.server.now_ms)
        return self.server.now_ms

    @rule(
        sends=st.lists(
            st.tuples(st.sampled_from(["x", "ü\n", '"']), st.sampled_from([0, 0, 0, 1, 30])), min_size=1, max_size=4
        ),
        group=st.sampled_from("ab"),
        dedup=st.integers(0, 20),
    )
    def send(self, sends: list[tuple[str, int]], group: str, dedup: int) -> None:
        for number, (body, delay) in enumerate(sends):
            self.send_one(body, delay, group, str(dedup + number))

    def send_one(self, body: str, delay: int, group: str, dedup: str) -> None:
        now_ms = self.now_ms
        fields: dict[str, Any] = {"QueueUrl": self.url(), "MessageBody": body, "DelaySeconds": delay}
        if self.fifo:
            fields |= {"MessageGroupId": group, "MessageDeduplicationId": dedup, "DelaySeconds": 0}
        message_id = self.call("SendMessage", **fields)["MessageId"]
        if self.fifo and (known := self.queue.duplicate_of(dedup, now_ms)) is not None:
            assert message_id == known
            return
        self.queue.sent[dedup] = (now_ms, message_id)
        ready_ms = now_ms + (0 if self.fifo else delay * 1000)
        self.queue.add(TinyMessage(message_id, body, group if self.fifo else None, now_ms, ready_ms))

    @rule(
        target=handles,
        most=st.sampled_from([1, 1, 2, 10]),
        visibility=st.sampled_from([0, 0, 5, 60]),
        dead=st.sampled_from([False, False, False, True]),
    )
    def receive(self, most: int, visibility: int, dead: bool) -> Any:
        now_ms = self.now_ms
        expected = (self.dead if dead else self.queue).receive(most, visibility * 1000, now_ms)
        answer = self.call(
            "ReceiveMessage",
            QueueUrl=self.url(dead),
            MaxNumberOfMessages=most,
            VisibilityTimeout=visibility,
            AttributeNames=["All"],
        )
        got = answer.get("Messages", [])
        assert [(m["MessageId"], m["Body"]) for m in got] == [(m.id, m.body) for m in expected]
        counts = [int(m["Attributes"]["ApproximateReceiveCount"]) for m in got]
        assert counts == [m.receives for m in expected]
        assert [int(m["Attributes"]["SentTimestamp"]) for m in got] == [m.sent_ms for m in expected]
        handles = [Handle(m["ReceiptHandle"], tiny) for m, tiny in zip(got, expected, strict=True)]
        return (dead, handles)

    @rule(received=consumes(handles), keep=st.booleans())
    def delete(self, received: tuple[bool, list[Handle]], keep: bool) -> None:
        dead, handles = received
        for handle in handles[:1] if keep else handles:
            now_ms = self.now_ms
            queue, message = self.dead if dead else self.queue, handle.message
            newest = message in queue.messages and message.receives == handle.delivery
            held = newest and message.state(now_ms) == "in flight"
            if self.fifo and message in queue.messages and not held:
                with pytest.raises(Refused, match="InvalidParameterValue"):
                    self.call("DeleteMessage", QueueUrl=self.url(dead), ReceiptHandle=handle.text)
                continue
            self.call("DeleteMessage", QueueUrl=self.url(dead), ReceiptHandle=handle.text)
            if newest:
                queue.messages.remove(message)

    @rule(received=handles, seconds=st.sampled_from([0, 2, 100]))
    def change_visibility(self, received: tuple[bool, list[Handle]], seconds: int) -> None:
        dead, handles = received
        for handle in handles[:2]:
            now_ms = self.now_ms
            queue, message = self.dead if dead else self.queue, handle.message
            fields = {"QueueUrl": self.url(dead), "ReceiptHandle": handle.text, "VisibilityTimeout": seconds}
            if message not in queue.messages or message.receives != handle.delivery:
                refusal = "InvalidParameterValue"
            elif message.state(now_ms) != "in flight":
                refusal = "MessageNotInflight"
            else:
                self.call("ChangeMessageVisibility", **fields)
                message.leased_until_ms = now_ms + seconds * 1000
                continue
            with pytest.raises(Refused, match=refusal):
                self.call("ChangeMessageVisibility", **fields)

    @rule(seconds=st.sampled_from([0.001, 1, 5, 31, 310]))
    def let_time_pass(self, seconds: float) -> None:
        self.server.now_ms += int(seconds * 1000)

    @rule()
    def restart(self) -> None:
        self.server.restart()
        assert self.server.lost_bytes == 0

    @rule(junk=st.sampled_from(JUNK))
    def junk(self, junk: tuple[str, dict[str, Any]]) -> None:
        operation, fields = junk
        with pytest.raises(Refused):
            self.call(operation, **{"QueueUrl": self.url(), "MessageGroupId": "a", **fields})

    @invariant()
    def counts_are_right(self) -> None:
        now_ms = self.now_ms
        for dead, tiny in ((False, self.queue), (True, self.dead)):
            if self.url(dead).rpartition("/")[2] not in self.server.service.store.queues:
                return
            names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
            shown = self.call("GetQueueAttributes", QueueUrl=self.url(dead), AttributeNames=names)["Attributes"]
            assert tuple(int(shown[name]) for name in names) == tiny.counts(now_ms)


class FifoServerAgainstModel(ServerAgainstModel):
    fifo = True


LIMITS = settings(max_examples=30, stateful_step_count=40)
TestStandardQueue = ServerAgainstModel.TestCase
TestStandardQueue.settings = LIMITS
TestFifoQueue = FifoServerAgainstModel.TestCase
TestFifoQueue.settings = LIMITS
