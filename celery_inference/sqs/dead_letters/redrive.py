"""What becomes of letters that a pass over a dead-letter queue meets: sent back, dropped, or only ended.

The order of writes, sends and deletes is what `celery_inference.sqs.dead_letters.queue` says; here are its steps.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.dead_letters.entry import GONE, HELD, Entry, State
from celery_inference.sqs.dead_letters.index import DeadLetterIndex, Marking, Progress, Selection
from celery_inference.sqs.dead_letters.resend import NotSendableError, resend_parameters
from celery_inference.sqs.dead_letters.scan import Scan, ScannedLetter
from celery_inference.sqs.errors import UnavailableError
from celery_inference.sqs.lanes import Lane, lane_named
from celery_inference.sqs.messages.reason import Mark
from celery_inference.sqs.producer.bulk_send import send_many
from celery_inference.sqs.producer.sender import Sender

YOUNG_SECONDS = 120.0  # SQS's counts may not know a letter that came since then
BEGUN = frozenset({State.SENDING, State.SENT, State.DROPPING})


@dataclass(frozen=True, slots=True)
class Target:
    """Where letters are sent: their own lane and task unless it says otherwise."""

    lane: str | None = None
    task: str | None = None


class DeadLetterPass:
    """What becomes of the letters of a pass. One thread's."""

    def __init__(
        self,
        clients: SqsClients,
        lane: Lane,
        index: DeadLetterIndex,
        *,
        lanes: tuple[Lane, ...],
        selection: Selection,
        target: Target | None = None,
        per_second: float | None = None,
    ) -> None:
        self._clients = clients
        self._lanes = lanes
        self.index = index
        self.lane = lane
        # What fails again meanwhile is not sent again, round and round.
        until = time.time() if selection.until is None else min(time.time(), selection.until)
        self.selection = replace(selection, lane=lane.name, until=until)
        self.target = target or Target()
        self.per_second = per_second
        self.progress = Progress(0)
        self._skipped: set[str] = set()
        self._sent_tasks: set[str | None] = set()

    def prepare(self) -> None:
        """Count what is to be done; refuse what cannot be."""
        self.progress.total = self.index.count(self.selection)

    def wanted(self, entry: Entry) -> bool:
        """Whether the operator asked for this letter."""
        ours = entry.task_id is not None and entry.task_id in self._sent_tasks
        return not ours and entry.id not in self._skipped and self.selection.matches(entry)

    def ended(self) -> bool:
        """Whether the rest of the queue need not be looked through."""
        return False

    def left(self) -> int:
        """How many of the index's letters are still to be met."""
        return self.index.count(Selection(lane=self.lane.name, state=BEGUN))

    def step(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        """Deal with up to ten letters."""
        # Copies of one letter go together: the first is it, the others are superseded.
        once: dict[str, tuple[Entry, ScannedLetter]] = {}
        superseded: list[ScannedLetter] = []
        for entry, held in letters:
            if entry.state in GONE or (entry.id in once and self._moves(entry)):
                superseded.append(held)
            elif entry.id not in once:
                once[entry.id] = (entry, held)
        self._end(scan, [pair for pair in once.values() if pair[0].state in (State.SENT, State.DROPPING)])
        self._send(scan, [pair for pair in once.values() if pair[0].state is State.SENDING])
        chosen = [pair for pair in once.values() if pair[0].state is State.WAITING and self.wanted(pair[0])]
        if chosen:
            self.do(scan, chosen)
        scan.delete(superseded)

    def _moves(self, entry: Entry) -> bool:
        return entry.state is not State.WAITING or self.wanted(entry)

    def do(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        """Do what was asked for with letters that wait."""

    def _end(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        """Delete what has left, or is dropped, and say so."""
        if letters:
            scan.delete([held for _, held in letters])
            gone = {State.DROPPING: State.DROPPED}
            self._mark([(entry, gone.get(entry.state, State.REDRIVEN)) for entry, _ in letters])

    def _mark(self, states: Sequence[tuple[Entry, State]]) -> None:
        self.index.mark(
            self.lane.name, [Marking(entry.id, state, entry.to_lane, entry.to_task) for entry, state in states]
        )

    def _skip(self, entry: Entry, why: str) -> None:
        self._skipped.add(entry.id)
        self.progress.skipped[why] = self.progress.skipped.get(why, 0) + 1

    def _send(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> int:
        """Send letters that are marked SENDING; returns how many have left."""
        by_lane: dict[str, list[tuple[Entry, ScannedLetter]]] = {}
        for entry, held in letters:
            by_lane.setdefault(entry.to_lane or self.lane.name, []).append((entry, held))
        return sum(self._send_to(scan, name, pairs) for name, pairs in by_lane.items())

    def _send_to(self, scan: Scan, lane_name: str, letters: list[tuple[Entry, ScannedLetter]]) -> int:
        lane = lane_named(lane_name, self._lanes)
        parameters, sendable = [], []
        for entry, held in letters:
            try:
                mark = Mark(entry.generation + 1)
                parameters.append(resend_parameters(held.letter, lane, mark, letter_id=entry.id, task=entry.to_task))
                sendable.append((entry, held))
            except NotSendableError as exc:
                self._stay(entry, str(exc))
        failures = {failure.index: failure.error for failure in send_many(self._sender(lane), parameters)}
        for index, error in failures.items():
            if not isinstance(error, UnavailableError):
                self._stay(sendable[index][0], str(error))
        left = [pair for index, pair in enumerate(sendable) if index not in failures]
        if left:
            self._mark([(entry, State.SENT) for entry, _ in left])
            self._sent_tasks.update(entry.task_id for entry, _ in left)
            self._end(scan, left)
        for error in failures.values():
            if isinstance(error, UnavailableError):
                raise error
        return len(left)

    def _sender(self, lane: Lane) -> Sender:
        return Sender(self._clients, lane.name, self._clients.queue_url(lane.queue.name), lane)

    def _stay(self, entry: Entry, why: str) -> None:
        self._skip(entry, why)
        self.index.mark(self.lane.name, [Marking(entry.id, State.WAITING)])

    def miss(self, started: float) -> None:
        """A whole pass has not met these: SQS has dropped them, or somebody has deleted them."""
        gone = {State.SENT: State.REDRIVEN, State.DROPPING: State.DROPPED}
        after: str | None = None
        while True:
            page = self.index.page(Selection(lane=self.lane.name, state=frozenset(HELD)), after=after)
            ended = [(entry, gone[entry.state]) for entry in page.entries if entry.state in gone]
            if ended:
                self._mark(ended)
            lost = [
                entry.id
                for entry in page.entries
                if entry.state not in gone and self._is_missed(entry) and entry.failed_at < started - YOUNG_SECONDS
            ]
            if lost:
                self.index.forget(self.lane.name, lost)
                why = "it is not in the queue any more"
                self.progress.skipped[why] = self.progress.skipped.get(why, 0) + len(lost)
            after = page.after
            if after is None:
                return

    def _is_missed(self, entry: Entry) -> bool:
        return entry.state is State.SENDING or self.wanted(entry)


class SettlePass(DeadLetterPass):
    def ended(self) -> bool:
        return not self.left()

    def wanted(self, entry: Entry) -> bool:
        return False


class RequestedPass(DeadLetterPass):
    """With letters that the operator asked for."""

    def ended(self) -> bool:
        """When ids were asked for, each is done, and nothing that was begun is left."""
        met = self.progress.done + len(self._skipped)
        return bool(self.selection.ids) and met >= self.progress.total > 0 and not self.left()

    def left(self) -> int:
        waiting = self.index.count(replace(self.selection, state=frozenset({State.WAITING})))
        return super().left() + max(0, waiting - len(self._skipped))


class RedrivePass(RequestedPass):
    def prepare(self) -> None:
        super().prepare()
        lane_named(self.target.lane or self.lane.name, self._lanes)

    def do(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        lane = lane_named(self.target.lane or self.lane.name, self._lanes)
        sendable: list[tuple[Entry, ScannedLetter]] = []
        for entry, held in letters:
            marked = replace(entry, to_lane=self.target.lane, to_task=self.target.task)
            try:
                # Before its generation is opened: one that cannot leave keeps its outcome.
                resend_parameters(held.letter, lane, Mark(0), letter_id=entry.id, task=self.target.task)
                sendable.append((marked, held))
            except NotSendableError as exc:
                self._skip(entry, str(exc))
        if not sendable:
            return
        # A letter that the reconciler has not taken up yet has to be known before it can be marked.
        self.index.add([entry for entry, _ in sendable])
        self.index.open_generations(
            [(entry.task_id, entry.generation + 1) for entry, _ in sendable if entry.task_id is not None]
        )
        self._mark([(entry, State.SENDING) for entry, _ in sendable])
        self.progress.done += self._send(scan, sendable)


class DropPass(RequestedPass):
    def do(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        self.index.add([entry for entry, _ in letters])
        self._mark([(entry, State.DROPPING) for entry, _ in letters])
        self._end(scan, [(replace(entry, state=State.DROPPING), held) for entry, held in letters])
        self.progress.done += len(letters)
