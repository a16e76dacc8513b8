"""Which queue to ask next, for how many messages, and how long to wait there: policy without threads.

The rules:
- All polls together never ask for more than the free slots.
- A queue that had nothing is asked by one long poll. One that fills its polls gets more at the same time.
- A busy queue is asked when a whole batch fits, or a few milliseconds after a slot became free.
- Among the queues that could be asked, the one with the least deliveries by weight goes first.
- With fewer slots than queues the polls are short, so that queues take turns.
"""

from dataclasses import dataclass, field

from sqs.backoff import full_jitter
from sqs.limits import MAX_BATCH_ENTRIES

FULL_SHARE = 0.7  # of what was asked: from here on a queue is taken to have more
TURN_SECONDS = 1  # a long poll's length while queues take turns
BACKOFF_BASE_SECONDS = 0.2
BACKOFF_CAP_SECONDS = 20.0
EMPTY_COST = 0.1  # what an empty poll counts as, in deliveries


@dataclass(frozen=True, slots=True)
class Poll:
    """One ReceiveMessage to make."""

    queue: str
    max_messages: int
    wait_seconds: int


@dataclass(slots=True)
class _Queue:
    weight: float
    used: float = 0.0  # deliveries by weight
    polls: int = 0
    asked: int = 0
    target: int = 1
    busy: bool = False
    failures: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Polling:
    """The state of all queues of one channel. Times are monotonic seconds. Not thread-safe."""

    wait_seconds: int
    gather_seconds: float
    max_polls: int
    queues: dict[str, _Queue] = field(default_factory=dict)
    asked: int = 0
    _free_since: float | None = None

    def add(self, name: str, weight: float = 1.0) -> None:
        """Ask this queue, too."""
        least = min((queue.used for queue in self.queues.values()), default=0.0)
        self.queues.setdefault(name, _Queue(weight, used=least))

    def remove(self, name: str) -> None:
        """Ask this queue no more."""
        self.queues.pop(name, None)

    def next(self, now: float, free: int, limit: int) -> Poll | float | None:
        """The poll to make now; or seconds until it is worth asking again; or None: when a slot is free.

        `free` are slots that nobody holds, `limit` is how many there are; `asked` of them are spoken for.
        """
        free -= self.asked
        if free <= 0 or not self.queues:
            self._free_since = None
            return None
        if self._free_since is None:
            self._free_since = now
        open_queues = [queue for queue in self.queues.values() if queue.polls < queue.target]
        ready = [
            (queue.used, name, queue)
            for name, queue in self.queues.items()
            if queue.polls < queue.target
            and queue.not_before <= now
            # A second poll of one queue never takes the slot that another needs to be asked at all.
            and (queue.polls == 0 or free > self._unasked(name, now))
        ]
        if not ready or sum(queue.polls for queue in self.queues.values()) >= self.max_polls:
            later = [queue.not_before - now for queue in open_queues if queue.not_before > now]
            return min(later) if later else None
        _, name, queue = min(ready, key=lambda entry: entry[:2])
        share = max(1, limit // len(self.queues))
        size, whole = self._size(name, queue, now, free, limit)
        if queue.busy and size < whole:
            gathered = now - self._free_since
            if gathered < self.gather_seconds:
                return self.gather_seconds - gathered
        wait = self._wait(queue, limit, beyond_share=queue.polls > 0 or size > share)
        queue.polls += 1
        queue.asked += size
        self.asked += size
        self._free_since = None
        return Poll(name, size, wait)

    def _unasked(self, name: str, now: float) -> int:
        """Other queues that nobody asks; each keeps a slot to be asked with."""
        others = (queue for other, queue in self.queues.items() if other != name)
        return sum(1 for queue in others if queue.polls == 0 and queue.not_before <= now)

    def _size(self, name: str, queue: _Queue, now: float, free: int, limit: int) -> tuple[int, int]:
        """How many to ask for, and how many would be worth gathering slots for."""
        unasked = self._unasked(name, now)
        most = min(MAX_BATCH_ENTRIES, max(1, limit - unasked))
        if not queue.busy and len(self.queues) > 1:
            most = min(most, max(1, limit // len(self.queues)))
        # What other queues' polls hold back comes free when they do, not while slots are gathered.
        whole = min(most, limit - (self.asked - queue.asked))
        return max(1, min(most, free - unasked)), whole

    def _wait(self, queue: _Queue, limit: int, *, beyond_share: bool) -> int:
        if len(self.queues) == 1:
            return self.wait_seconds
        if len(self.queues) <= limit:
            # Slots beyond a queue's share are lent for as long as it has messages, not for a long poll.
            return min(TURN_SECONDS, self.wait_seconds) if beyond_share else self.wait_seconds
        # Slots are scarce: do not sit on one while another queue is known to have messages.
        if any(other.busy for other in self.queues.values() if other is not queue):
            return 0
        return min(TURN_SECONDS, self.wait_seconds)

    def done(self, poll: Poll, received: int) -> None:
        """A poll came back with so many messages."""
        queue = self._returned(poll)
        if queue is None:
            return
        was_busy = queue.busy
        queue.failures, queue.busy = 0, received > 0
        if queue.busy and not was_busy:
            # A queue that was empty has no credit to spend at the cost of the others.
            others = [other.used for other in self.queues.values() if other is not queue and other.busy]
            queue.used = max(queue.used, min(others, default=queue.used))
        queue.used += (received or EMPTY_COST) / queue.weight
        if received == 0:
            queue.target = 1
        elif received >= poll.max_messages * FULL_SHARE:
            queue.target = min(queue.target + 1, self.max_polls)

    def failed(self, poll: Poll, now: float) -> float:
        """A poll failed; the queue is left alone for as many seconds as are returned."""
        queue = self._returned(poll)
        if queue is None:
            return 0.0
        queue.failures += 1
        queue.target, queue.busy = 1, False
        pause = full_jitter(queue.failures, base_seconds=BACKOFF_BASE_SECONDS, cap_seconds=BACKOFF_CAP_SECONDS)
        queue.not_before = now + max(0.05, pause)
        return pause

    def _returned(self, poll: Poll) -> _Queue | None:
        self.asked -= poll.max_messages
        queue = self.queues.get(poll.queue)
        if queue is not None and queue.polls > 0:
            queue.polls -= 1
            queue.asked -= poll.max_messages
        return queue
