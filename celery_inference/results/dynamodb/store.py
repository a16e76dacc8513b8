"""The store in one DynamoDB table, for a fleet; see `celery_inference.results.protocol` for what each method promises.

Nothing is read before it is written: a write says what it takes its item for, and is decided anew if that is wrong. So
the attempt and the outcome of a request that succeeds at once cost one write each.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from celery_inference.results.dynamodb.attempts import beginning, record_in, taking_back
from celery_inference.results.dynamodb.host_counters import HostCounters
from celery_inference.results.dynamodb.items import Item, ItemUpdate, Key, Query, is_over
from celery_inference.results.dynamodb.poison_inputs import DynamoDBPoisonInputs
from celery_inference.results.dynamodb.schema import ID, PART, TTL, WHOLE, named
from celery_inference.results.dynamodb.states import FINAL, GENERATION, PAST, States, place_of, standing_of, ttl_of
from celery_inference.results.dynamodb.table import Conflict, DynamoDBTable
from celery_inference.results.dynamodb.values import join
from celery_inference.results.protocol import KEEP_SECONDS, Attempts, Chord, HostCounts, Start, Submission
from celery_inference.results.rules import Lease, NewState, SubmissionClaim

_LEASE = ("holder", "until")
_CLAIM = ("submitter", "until", "sent")


class DynamoDBStore:
    """`key_of` and `pending_of` give the backend's key for a task id, and the encoded state of a pending one."""

    def __init__(
        self, table: DynamoDBTable, *, key_of: Callable[[str], bytes], pending_of: Callable[[str], bytes]
    ) -> None:
        self.table = table
        self.states = States(table)
        self._figures = HostCounters(table)
        self._poison_inputs = DynamoDBPoisonInputs(table)
        self._key_of = key_of
        self._pending_of = pending_of

    def _place(self, task_id: str) -> Key:
        return place_of(self._key_of(task_id))

    def begin_attempts(self, starts: Sequence[Start]) -> list[int]:
        """See Store. A call an attempt, many at the same time."""
        now = time.time()

        def begin(same: list[Start]) -> list[int]:
            return [self._begin(start, now) for start in same]

        # One after the other where they are of one task: they change one item.
        by_task: dict[str, list[Start]] = {}
        for start in starts:
            by_task.setdefault(start.task_id, []).append(start)
        numbers = dict(zip(by_task, map(iter, self.table.each(begin, list(by_task.values()))), strict=True))
        self._figures.started(Counter(start.host for start in starts))
        return [next(numbers[start.task_id]) for start in starts]

    def _begin(self, start: Start, now: float) -> int:
        item = self.table.revise(self._place(start.task_id), lambda present: beginning(present, start, now))
        return len(record_in(item, start.generation).hosts)

    def take_back_attempts(self, starts: Sequence[Start]) -> None:
        """See Store."""

        def take_back(start: Start) -> None:
            place = self._place(start.task_id)
            present = self.table.get_one(place)
            while (change := taking_back(present, start)) is not None:
                try:
                    return self.table.update(place, change)
                except Conflict as conflict:
                    present = conflict.present
            return None

        self.table.each(take_back, starts)

    def attempts(self, requests: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Attempts]:
        """See Store."""
        now, places = time.time(), {request: self._place(request[0]) for request in requests}
        items = self.table.get(places.values())
        found: dict[tuple[str, int], Attempts] = {}
        for request, place in places.items():
            item, generation = items.get(place, {}), request[1]
            standing = standing_of(item, now)
            ended = standing is not None and standing.final and generation <= standing.generation
            hosts = () if ended or is_over(item, now) else record_in(item, generation).hosts
            if hosts:
                found[request] = Attempts(len(hosts), hosts)
        return found

    def record_failures(self, host: str, count: int) -> None:
        """See Store."""
        self._figures.failed(host, count)

    def host_counts(self, since: float) -> Mapping[str, HostCounts]:
        """See Store."""
        return self._figures.since(since)

    def hosts(self, since: float) -> set[str]:
        """See Store."""
        return {host for host, figures in self._figures.since(since).items() if figures.started}

    def open_generations(self, requests: Sequence[tuple[str, int]]) -> None:
        """See Store."""
        now = time.time()

        def open_one(request: tuple[str, int]) -> None:
            task_id, generation = request
            pending = self._pending_of(task_id)
            state = NewState(self._key_of(task_id), pending, False, generation, now, now + KEEP_SECONDS)
            self.states.store(state, opening=True)

        self.table.each(open_one, list(requests))

    def generations(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """See Store."""
        now, places = time.time(), {self._place(task_id): task_id for task_id in task_ids}
        found = {
            places[place]: standing_of(item, now)
            for place, item in self.table.get(places, GENERATION, FINAL, TTL).items()
        }
        return {task_id: standing.generation for task_id, standing in found.items() if standing is not None}

    def past_outcomes(self, task_id: str) -> Mapping[int, bytes]:
        """See Store."""
        items = list(self.table.query(Query(self._place(task_id)[0], place=("begins_with", PAST))))
        values = join(items, self.table.get)
        return {int(place.removeprefix(PAST)): value for (_, place), value in sorted(values.items())}

    def cancel(self, task_ids: Collection[str], keep_seconds: float) -> None:
        """See Store."""
        ttl = ttl_of(time.time() + keep_seconds)
        self.table.write([{ID: f"cancelled#{named(each)}", PART: WHOLE, TTL: ttl or 0} for each in set(task_ids)])

    def cancelled(self, task_ids: Collection[str]) -> set[str]:
        """See Store. At half the price: who revokes tells running workers, too, by remote control."""
        now, places = time.time(), {(f"cancelled#{named(each)}", WHOLE): each for each in task_ids}
        found = self.table.get(places, lagging=True)
        return {places[place] for place, item in found.items() if not is_over(item, now)}

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """See Store."""
        now = time.time()
        lease: Item = {"holder": holder, "until": now + seconds, TTL: ttl_of(now + max(seconds, 0.0) + 86_400.0) or 0}

        def take(item: Item) -> ItemUpdate | None:
            held = Lease(str(item["holder"]), float(item["until"])) if item else None
            if held is not None and not held.is_free_for(holder, now):
                return None
            return ItemUpdate(put=lease, where={each: item.get(each) for each in _LEASE})

        return self.table.revise((f"lease#{named(name)}", WHOLE), take).get("holder") == holder

    def let_go(self, name: str, holder: str) -> None:
        """See Store."""
        place = (f"lease#{named(name)}", WHOLE)
        try:
            self.table.update(place, ItemUpdate(put={"until": 0}, where={"holder": holder}))
        except Conflict:
            return  # it is another's, or nobody's

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """See Store."""
        self._poison_inputs.note(digest, sentence, keep_seconds)

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """See Store."""
        return self._poison_inputs.among(digests)

    def end_part(self, group_id: str, task_id: str, size: int) -> Chord:
        """See Store. Two writes a part, however large the chord; its set is counted when its end may be there.

        First the part is put, then a number goes up. It is never less than the parts whose tellers came so
        far, and more when one is told again: the set has the last word.
        """
        ttl = ttl_of(time.time() + KEEP_SECONDS) or 0
        self.table.put({ID: f"parts#{named(group_id)}", PART: named(task_id), TTL: ttl})
        chord = self.table.add((f"chord#{named(group_id)}", WHOLE), {"told": 1}, ttl)
        if chord.get("closed"):
            return Chord.CLOSED
        if int(chord["told"]) < size:
            return Chord.RUNNING
        return Chord.RUNNING if self.table.count(Query(f"parts#{named(group_id)}")) < size else Chord.ENDED

    def close_chord(self, group_id: str) -> None:
        """See Store."""
        ttl = ttl_of(time.time() + KEEP_SECONDS) or 0
        self.table.update((f"chord#{named(group_id)}", WHOLE), ItemUpdate(put={"closed": True, TTL: ttl}))

    def claim_submission(self, task_id: str, submitter: str, seconds: float) -> Submission:
        """See Store."""
        now, found = time.time(), Submission.OURS

        def claim(item: Item) -> ItemUpdate | None:
            nonlocal found
            found = Submission.OURS
            if item:
                there = SubmissionClaim(
                    str(item["submitter"]), float(item["until"]), bool(item["sent"]), float(item[TTL])
                )
                found = there.found_by(submitter, now)
            if found is not Submission.OURS:
                return None
            return ItemUpdate(
                put={
                    "submitter": submitter,
                    "until": now + seconds,
                    "sent": False,
                    TTL: ttl_of(now + KEEP_SECONDS) or 0,
                },
                where={name: item.get(name) for name in _CLAIM},
            )

        self.table.revise((f"submission#{named(task_id)}", WHOLE), claim)
        return found

    def confirm_submission(self, task_id: str, keep_seconds: float) -> None:
        """See Store."""
        ttl = ttl_of(time.time() + keep_seconds) or 0
        self.table.update((f"submission#{named(task_id)}", WHOLE), ItemUpdate(put={"sent": True, TTL: ttl}))
