"""Which queue to ask next, for how many messages, and how long to wait there: policy without threads.

The rules, for queues that share slots:
- All polls together never ask for more than the free slots.
- A queue that had nothing is asked by one long poll, for few messages if other queues could use the slots. A queue
  that fills its polls gets more polls at the same time.
- A busy queue is asked when a whole batch fits, or a few milliseconds after a slot became free.
- First come the queues at which nobody listens; then, of the busy ones, the one that has had least for its weight.
- With fewer slots than queues the polls are short, so that queues take turns; and while one of them is busy, the
  others are only looked at, a few times a second.
"""

from dataclasses import dataclass, field

from celery_inference.sqs.api.backoff import full_jitter
from celery_inference.sqs.limits import MAX_BATCH_ENTRIES

LISTENING = 8  # listening at idle queues takes an eighth of the slots, so that a burst at one queue finds the rest free
FULL_SHARE = 0.7  # of what was asked: from here on a queue is taken to have more
TURN_SECONDS = 1  # a long poll's length while queues take turns
LOOK_SECONDS = 0.2  # between looks at an idle queue when slots are scarce and another queue is busy
BACKOFF_BASE_SECONDS = 0.2
BACKOFF_CAP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Poll:
    """One ReceiveMessage to make."""

    queue: str
    max_messages: int
    wait_seconds: int


@dataclass(slots=True)
class _Queue:
    weight: float
    used: float = 0.0  # messages received or asked for, by weight
    polls: int = 0
    asked: int = 0
    asked_at: float = -1.0
    target: int = 1
    busy: bool = False
    failures: int = 0
    not_before: float = 0.0

    def open(self, now: float) -> bool:
        """Whether it may be asked once more."""
        return self.polls < self.target and self.not_before <= now


@dataclass(slots=True)
class PollScheduler:
    """The state of queues that share their slots. Times are monotonic seconds. Not thread-safe."""

    wait_seconds: int
    gather_seconds: float
    max_polls: int
    queues: dict[str, _Queue] = field(default_factory=dict)
    asked: int = 0
    _free_since: float | None = None

    def add(self, name: str, weight: float = 1.0) -> None:
        """Ask this queue, too."""
        self.queues.setdefault(name, _Queue(weight, used=self._least_used()))

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
        name = self._choose(now)
        if name is None or sum(queue.polls for queue in self.queues.values()) >= self.max_polls:
            later = [
                queue.not_before - now
                for queue in self.queues.values()
                if queue.polls < queue.target and queue.not_before > now
            ]
            return min(later) if later else None
        queue = self.queues[name]
        size, whole = self._size(name, queue, now, free, limit)
        if queue.busy and size < whole:
            gathered = now - self._free_since
            if gathered < self.gather_seconds:
                return self.gather_seconds - gathered
        share = max(1, limit // len(self.queues))
        wait = self._wait(queue, limit, beyond_share=queue.polls > 0 or size > share)
        queue.polls += 1
        queue.asked += size
        queue.asked_at = now
        # What is asked for counts at once: of two busy queues the heavier one's next poll may come first.
        queue.used += size / queue.weight
        self.asked += size
        self._free_since = None
        return Poll(name, size, wait)

    def _choose(self, now: float) -> str | None:
        """The queue to ask."""
        unheard = self._unheard(now)
        if unheard:
            return min(unheard, key=lambda name: self.queues[name].asked_at)
        busy = [name for name, queue in self.queues.items() if queue.open(now)]
        return min(busy, key=lambda name: (self.queues[name].used, name), default=None)

    def _unheard(self, now: float) -> list[str]:
        """Idle queues at which nobody listens; each is worth a slot to listen with."""
        return [
            name
            for name, queue in self.queues.items()
            if not queue.busy and queue.polls == 0 and queue.not_before <= now
        ]

    def _size(self, name: str, queue: _Queue, now: float, free: int, limit: int) -> tuple[int, int]:
        """How many to ask for, and how many would be worth gathering slots for."""
        unheard = sum(1 for other in self._unheard(now) if other != name)
        most = min(MAX_BATCH_ENTRIES, max(1, limit - unheard))
        if not queue.busy and len(self.queues) > 1:
            most = min(most, max(1, limit // (LISTENING * len(self.queues))))
        # What other queues' polls hold back comes free when they do, not while slots are gathered.
        whole = min(most, limit - (self.asked - queue.asked))
        return max(1, min(most, free - unheard)), whole

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

    def done(self, poll: Poll, received: int, now: float, limit: int) -> None:
        """A poll came back with so many messages; `limit` is how many slots there are."""
        queue = self._returned(poll)
        if queue is None:
            return
        was_busy = queue.busy
        queue.failures, queue.busy = 0, received > 0
        if queue.busy and not was_busy:
            # A queue that was empty has no credit to spend at the cost of the others, and no debt.
            queue.used = self._least_used(but=queue) + queue.asked / queue.weight
        queue.used += received / queue.weight
        if received == 0:
            queue.target = 1
            if len(self.queues) > limit and any(other.busy for other in self.queues.values()):
                queue.not_before = now + LOOK_SECONDS
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

    def _least_used(self, but: _Queue | None = None) -> float:
        """What the busy queue that comes next has had, 0 if none is busy."""
        return min((queue.used for queue in self.queues.values() if queue.busy and queue is not but), default=0.0)

    def _returned(self, poll: Poll) -> _Queue | None:
        self.asked -= poll.max_messages
        queue = self.queues.get(poll.queue)
        if queue is not None and queue.polls > 0:
            queue.polls -= 1
            queue.asked -= poll.max_messages
            queue.used -= poll.max_messages / queue.weight
        return queue
