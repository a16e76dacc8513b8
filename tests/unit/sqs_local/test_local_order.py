"""A FIFO queue's order beside its plainest form, a look through all messages, whatever happens to them."""

from __future__ import annotations

import random

import pytest

from celery_inference.sqs_local.state.message import IN_FLIGHT, READY, StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.queue_attributes import QueueAttributes


class Life:
    """One queue and the random things that are done to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.queue = LocalQueue("q.fifo", QueueAttributes.create({}, fifo=True), 0)
        self.sent = 0

    def add(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self._add_one()

    def _add_one(self) -> None:
        self.sent += 1
        message = StoredMessage(str(self.sent), self.sent, 0, "", "")
        message.group = self.random.choice("ab")
        self.queue.add(message)

    def expected(self) -> list[StoredMessage]:
        """All that one call may take, in order."""
        messages = sorted(self.queue.messages.values(), key=lambda message: message.sequence)
        shut_from: dict[str | None, int] = {}
        heads: dict[str | None, int] = {}
        for message in messages:
            if message.state == IN_FLIGHT:
                shut_from.setdefault(message.group, message.sequence)
        open_ = [m for m in messages if m.state == READY and m.sequence < shut_from.get(m.group, m.sequence + 1)]
        for message in open_:
            heads.setdefault(message.group, message.sequence)
        return sorted(open_, key=lambda message: (heads[message.group], message.sequence))

    def receive(self) -> None:
        most, visibility_ms = self.random.randint(1, 10), self.random.choice([0, 1000, 1000])
        dead_letters = self.random.choice([0, 0, 0, 0.5])
        expected, looked_at, taken = self.expected(), [], []
        while len(taken) < most and (message := self.queue.take()) is not None:
            looked_at.append(message)
            if self.random.random() < dead_letters:
                self.queue.remove_taken(message)
            else:
                taken.append(message)
        for message in taken:
            self.queue.lease(message, 0, visibility_ms)
        self.queue.end_call()
        assert looked_at == expected[: len(looked_at)]
        assert len(taken) == most or len(looked_at) == len(expected)

    def end_a_lease(self) -> None:
        held = [message for message in self.queue.messages.values() if message.state == IN_FLIGHT]
        if held:
            self.queue.set_lease_end(self.random.choice(held), 0, 0)

    def remove(self) -> None:
        for message_id in self.random.sample(list(self.queue.messages), min(2, len(self.queue.messages))):
            self.queue.remove(message_id)

    def remove_many(self) -> None:
        """So many that the heaps are built anew."""
        for _ in range(80):
            self._add_one()
        for message_id in list(self.queue.messages):
            if self.random.random() < 0.9:
                self.queue.remove(message_id)

    def restart(self) -> None:
        self.queue.index()


@pytest.mark.parametrize("seed", range(50))
def test_a_fifo_queue_gives_what_nothing_in_flight_stands_before(seed: int) -> None:
    life = Life(seed)
    steps = [life.add, life.receive, life.end_a_lease, life.remove, life.remove_many, life.restart]
    for step in life.random.choices(steps, weights=[30, 30, 20, 10, 3, 2], k=300):
        step()


def test_a_message_that_is_received_again_and_again_takes_no_room() -> None:
    queue = LocalQueue("q.fifo", QueueAttributes.create({}, fifo=True), 0)
    for sequence in (1, 2):
        message = StoredMessage(str(sequence), sequence, 0, "", "")
        message.group = "a"
        queue.add(message)
    for now_ms in range(5_000):
        taken = queue.take()
        assert taken is not None
        queue.lease(taken, now_ms, now_ms % 2)
        queue.end_call()
        queue.advance(now_ms + 1)
    assert len(queue._order._heads) < 200  # type: ignore[attr-defined]
