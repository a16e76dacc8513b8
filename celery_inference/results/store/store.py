"""The store, over any table.

Nothing is read before it is written: a write says what it takes its item for, and is decided anew if that is wrong. So
the attempt and the outcome of a request that succeeds at once cost one write each.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from celery_inference.results.items import (
    FINAL,
    ID,
    PART,
    TTL,
    WHOLE,
    Item,
    ItemUpdate,
    Key,
    Query,
    is_over,
    named,
    ttl_of,
)
from celery_inference.results.protocol import KEEP_SECONDS, Attempts, Chord, HostCounts, Start, Submission
from celery_inference.results.rules import Lease, NewState, SubmissionClaim
from celery_inference.results.store.attempts import attribute, beginning, count_in, record_in, taking_back
from celery_inference.results.store.host_counters import HostCounters
from celery_inference.results.store.poison_inputs import PoisonInputRecords
from celery_inference.results.store.states import GENERATION, PAST, States, place_of, standing_of
from celery_inference.results.store.values import join
from celery_inference.results.table import Decide, ItemTable

_LEASE = ("holder", "until")
_CLAIM = ("submitter", "until", "sent")


class ResultStore:
    """What inference remembers of its requests; `celery_inference.results.access.store_of(app)` gives it.

    All methods may be called from any thread, block until their writes are durable, and raise StoreUnavailable. Rows
    that nobody needs any more expire by themselves. `key_of` and `pending_of` give the backend's key for a task id, and
    the encoded state of a pending one.
    """

    def __init__(self, table: ItemTable, *, key_of: Callable[[str], bytes], pending_of: Callable[[str], bytes]) -> None:
        self.table = table
        self._states = States(table)
        self._figures = HostCounters(table)
        self._poison_inputs = PoisonInputRecords(table)
        self._key_of = key_of
        self._pending_of = pending_of

    def _place(self, task_id: str) -> Key:
        return place_of(self._key_of(task_id))

    def begin_attempts(self, starts: Sequence[Start]) -> list[int]:
        """Count an attempt for each, in one write; returns their numbers, from 1."""
        now = time.time()

        def beginning_of(start: Start) -> Decide:
            return lambda present: beginning(present, start, now)

        items = self.table.revise([(self._place(start.task_id), beginning_of(start)) for start in starts])
        self._figures.started(Counter(start.host for start in starts))
        return [count_in(item, start.generation) for item, start in zip(items, starts, strict=True)]

    def take_back_attempts(self, starts: Sequence[Start]) -> None:
        """Uncount those whose last attempt was this delivery's: they have not ended in an error of their own."""

        def taking_back_of(start: Start) -> Decide:
            return lambda present: taking_back(present, start)

        self.table.revise([(self._place(start.task_id), taking_back_of(start)) for start in starts], expected=True)

    def attempts(self, requests: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Attempts]:
        """The attempts of each (task id, generation), in one read; those without any are left out."""
        now, places = time.time(), {request: self._place(request[0]) for request in requests}
        records = {attribute(generation) for _, generation in requests}
        items = self.table.get(places.values(), GENERATION, FINAL, TTL, *records)
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
        """So many attempts failed on this host by no fault of their requests."""
        self._figures.failed(host, count)

    def host_counts(self, since: float) -> Mapping[str, HostCounts]:
        """The figures of each host since then (seconds since the epoch, to the minute)."""
        return self._figures.since(since)

    def hosts(self, since: float) -> set[str]:
        """The hosts that have begun attempts since then (seconds since the epoch)."""
        return {host for host, figures in self._figures.since(since).items() if figures.started}

    def open_generations(self, requests: Sequence[tuple[str, int]]) -> None:
        """Begin a generation of each (task id, generation): pending, attempts from 0, the old outcome kept for reading.

        Nothing happens to those that have reached it already.
        """
        now = time.time()
        states = [
            NewState(self._key_of(task_id), self._pending_of(task_id), False, generation, now, now + KEEP_SECONDS)
            for task_id, generation in requests
        ]
        self._states.store(states, opening=True)

    def generations(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """The generation of each task whose state is stored; others are left out."""
        now, places = time.time(), {self._place(task_id): task_id for task_id in task_ids}
        found = {
            places[place]: standing_of(item, now)
            for place, item in self.table.get(places, GENERATION, FINAL, TTL).items()
        }
        return {task_id: standing.generation for task_id, standing in found.items() if standing is not None}

    def past_outcomes(self, task_id: str) -> Mapping[int, bytes]:
        """The outcomes of generations before the present one, encoded as the backend encodes them."""
        items = list(self.table.query(Query(self._place(task_id)[0], place=("begins_with", PAST))))
        values = join(self.table, items)
        return {int(place.removeprefix(PAST)): value for (_, place), value in sorted(values.items())}

    def cancel(self, task_ids: Collection[str], keep_seconds: float) -> None:
        """Record the revocation of each: whoever holds or receives the request is to end it as cancelled."""
        ttl = ttl_of(time.time() + keep_seconds)
        self.table.put([{ID: f"cancelled#{named(each)}", PART: WHOLE, TTL: ttl} for each in set(task_ids)])

    def cancelled(self, task_ids: Collection[str]) -> set[str]:
        """Those that are revoked, in one read.

        It may lag: who revokes tells running workers, too, by remote control.
        """
        now, places = time.time(), {(f"cancelled#{named(each)}", WHOLE): each for each in task_ids}
        found = self.table.get(places, lagging=True)
        return {places[place] for place, item in found.items() if not is_over(item, now)}

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease of this name for one holder; False when it is another's."""
        now = time.time()
        lease: Item = {"holder": holder, "until": now + seconds, TTL: ttl_of(now + max(seconds, 0.0) + 86_400.0)}

        def take(item: Item) -> ItemUpdate | None:
            held = Lease(str(item["holder"]), float(item["until"])) if item else None
            if held is not None and not held.is_free_for(holder, now):
                return None
            return ItemUpdate(put=lease, where={each: item.get(each) for each in _LEASE})

        return self.table.revise([((f"lease#{named(name)}", WHOLE), take)])[0].get("holder") == holder

    def let_go(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens when it is another's."""
        # Nothing happens to what is another's, or nobody's.
        change = ItemUpdate(put={"until": 0}, where={"holder": holder})
        self.table.update([((f"lease#{named(name)}", WHOLE), change)])

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """Remember that inputs of this digest ended a device process when they ran alone."""
        self._poison_inputs.record(digest, sentence, keep_seconds)

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """The sentences of those digests that are known to end device processes, in one read."""
        return self._poison_inputs.among(digests)

    def end_part(self, group_id: str, task_id: str, size: int) -> Chord:
        """Add one ended part to the set of a chord of this size, which may hold it already.

        Two writes a part, however large the chord; its set is counted when its end may be there.

        First the part is put, then a number goes up. It is never less than the parts whose tellers came so
        far, and more when one is told again: the set has the last word.
        """
        ttl = ttl_of(time.time() + KEEP_SECONDS)
        self.table.put([{ID: f"parts#{named(group_id)}", PART: named(task_id), TTL: ttl}])
        chord = self.table.add((f"chord#{named(group_id)}", WHOLE), {"told": 1}, ttl)
        if chord.get("closed"):
            return Chord.CLOSED
        if int(chord["told"]) < size:
            return Chord.RUNNING
        return Chord.RUNNING if self.table.count(Query(f"parts#{named(group_id)}")) < size else Chord.ENDED

    def close_chord(self, group_id: str) -> None:
        """The chord's body was sent."""
        ttl = ttl_of(time.time() + KEEP_SECONDS)
        self.table.update([((f"chord#{named(group_id)}", WHOLE), ItemUpdate(put={"closed": True, TTL: ttl}))])

    def claim_submission(self, task_id: str, submitter: str, seconds: float) -> Submission:
        """Ask to send the work of this id; a claim that is not confirmed in `seconds` counts for nothing."""
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
                    TTL: ttl_of(now + KEEP_SECONDS),
                },
                where={name: item.get(name) for name in _CLAIM},
            )

        self.table.revise([((f"submission#{named(task_id)}", WHOLE), claim)])
        return found

    def confirm_submission(self, task_id: str, keep_seconds: float) -> None:
        """The work was sent; who submits it again within that time is told so."""
        ttl = ttl_of(time.time() + keep_seconds)
        self.table.update([((f"submission#{named(task_id)}", WHOLE), ItemUpdate(put={"sent": True, TTL: ttl}))])
