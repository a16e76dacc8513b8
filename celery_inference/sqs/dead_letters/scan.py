"""Looking through a dead-letter queue: SQS shows a message only to who receives it.

Each letter that is received is held until the look ends, so that it does not come again, and is then given back. A
process that is killed meanwhile gives its letters back by itself after HOLD_SECONDS.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from celery_inference.sqs import limits
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.dead_letters.letter import DeadLetter, dead_letter_in
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import dead_letter_depth

HOLD_SECONDS = 60
RENEW_SHARE = 0.4  # of a hold, before it ends
END_WAIT_SECONDS = 1  # a long poll asks all of SQS's servers, a short one some
END_TRIES = 3
MOST_HELD = 100_000  # SQS lets 120,000 be in flight
NAP_SECONDS = 0.2


@dataclass(slots=True, eq=False)
class ScannedLetter:
    """A letter that this look holds."""

    letter: DeadLetter
    receipt: str


class Scan:
    """One pass over a lane's dead-letter queue, in one thread: `with Scan(clients, lane) as scan: for held in scan`.

    Each step yields up to ten letters. What the caller does not `delete` is given back at the end. Afterwards
    `complete` says whether every letter was seen that was visible.
    """

    def __init__(self, clients: SqsClients, lane: Lane) -> None:
        self._clients = clients
        self._lane = lane
        self._queue = lane.dead_letter_queue.name
        self._url = clients.queue_url(self._queue)
        self._held: dict[str, str] = {}  # message id: receipt
        self._ends: deque[tuple[float, str]] = deque()  # when each receive's hold ends
        self._seen: set[str] = set()
        self.complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What cannot be given back now comes back by itself.
        with suppress(SqsError):
            self.give_back()

    @property
    def seen(self) -> int:
        """How many letters it has seen."""
        return len(self._seen)

    def __iter__(self) -> Iterator[list[ScannedLetter]]:
        empty = 0
        while len(self._held) < MOST_HELD:
            self._renew()
            received = self._receive(END_WAIT_SECONDS if empty else 0)
            fresh = [held for held in received if held.letter.message_id not in self._seen]
            for held in received:
                self._hold(held)
            if fresh:
                empty = 0
                yield fresh
            elif received:
                return  # holds that could not be renewed: it has come round
            else:
                empty += 1
                if empty > END_TRIES or (empty > 1 and self._nothing_visible()):
                    self.complete = True
                    return

    def holds(self, message_id: str) -> bool:
        """Whether this look has received the letter and not deleted it since."""
        return message_id in self._held

    def delete(self, helds: Sequence[ScannedLetter]) -> None:
        """Delete letters that were seen in this look. Raises errors of `celery_inference.sqs.errors`; the rest is then
        still held."""
        for start in range(0, len(helds), limits.MAX_BATCH_ENTRIES):
            part = helds[start : start + limits.MAX_BATCH_ENTRIES]
            entries = [
                {"Id": str(index), "ReceiptHandle": self._held.get(held.letter.message_id, held.receipt)}
                for index, held in enumerate(part)
            ]
            answer = self._call("DeleteMessageBatch", Entries=entries)
            failed = {int(failure["Id"]) for failure in answer.get("Failed", [])}
            for index, held in enumerate(part):
                if index not in failed:
                    self._held.pop(held.letter.message_id, None)

    def rest(self, seconds: float) -> None:
        """Wait, and hold on to the letters meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(NAP_SECONDS, left))
            self._renew()

    def give_back(self) -> None:
        """Make everything visible that is still held."""
        receipts = list(self._held.values())
        self._held.clear()
        self._ends.clear()
        for start in range(0, len(receipts), limits.MAX_BATCH_ENTRIES):
            self._change(receipts[start : start + limits.MAX_BATCH_ENTRIES], 0)

    def _receive(self, wait_seconds: int) -> list[ScannedLetter]:
        answer = self._clients.call(
            "ReceiveMessage",
            self._queue,
            self._clients.client.receive_message,
            QueueUrl=self._url,
            MaxNumberOfMessages=limits.MAX_BATCH_ENTRIES,
            VisibilityTimeout=HOLD_SECONDS,
            WaitTimeSeconds=wait_seconds,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
        )
        return [
            ScannedLetter(dead_letter_in(message), message["ReceiptHandle"]) for message in answer.get("Messages", [])
        ]

    def _hold(self, held: ScannedLetter) -> None:
        message_id = held.letter.message_id
        self._seen.add(message_id)
        self._held[message_id] = held.receipt
        self._ends.append((time.monotonic() + HOLD_SECONDS, message_id))

    def _renew(self) -> None:
        now = time.monotonic()
        while self._ends and self._ends[0][0] - now < RENEW_SHARE * HOLD_SECONDS:
            due = [self._ends.popleft()[1] for _ in range(min(limits.MAX_BATCH_ENTRIES, len(self._ends)))]
            held = [message_id for message_id in due if message_id in self._held]
            if held:
                self._change([self._held[message_id] for message_id in held], HOLD_SECONDS)
                self._ends.extend((now + HOLD_SECONDS, message_id) for message_id in held)

    def _change(self, receipts: list[str], seconds: int) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, receipt in enumerate(receipts)
        ]
        self._call("ChangeMessageVisibilityBatch", Entries=entries)

    def _nothing_visible(self) -> bool:
        return dead_letter_depth(self._clients, self._lane).visible == 0

    def _call(self, operation: str, **parameters: Any) -> Any:
        client = self._clients.client
        function = (
            client.delete_message_batch if operation.startswith("Delete") else client.change_message_visibility_batch
        )
        return self._clients.call(operation, self._queue, function, QueueUrl=self._url, **parameters)
