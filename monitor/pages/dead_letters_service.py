"""What the dead-letters page reads and does, in threads of Flower's executor: every call here blocks."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery import Celery

from celery_inference.sqs.dead_letters.entry import GONE, Entry
from celery_inference.sqs.dead_letters.index import Group, LanePause, Page, Progress, Selection
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.dead_letters.redrive import Target
from celery_inference.sqs.errors import SqsError, UndecodableError
from celery_inference.sqs.messages import envelope

INPUT_CHARACTERS = 20_000
TRACEBACK_CHARACTERS = 50_000
PAGE_LETTERS = 100
_KEPT_WORKS = 20

Letters = Callable[[Celery], Sequence[DeadLetterQueue]]


@dataclass(frozen=True, slots=True)
class DeadLetterSource:
    """How to come by an application's dead letters."""

    of: Letters


class UnknownDeadLetterError(SqsError):
    """No letter of that lane has this id."""

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"there is no dead letter {letter_id!r} any more")


@dataclass(slots=True)
class OperationProgress:
    """Letters that are redriven or dropped: how far that is."""

    what: str
    progress: Progress
    ended: bool = False
    failure: str | None = None

    @property
    def skipped(self) -> str:
        """What was left alone, and why."""
        return "; ".join(f"{count} left: {why}" for why, count in self.progress.skipped.items())


@dataclass(frozen=True, slots=True)
class Seen:
    """What the index held at a time, in seconds since the epoch."""

    at: float
    groups: list[Group]
    stops: list[LanePause]


@dataclass(frozen=True, slots=True)
class Shown:
    """One letter as the page shows it; texts are cut, None where there is nothing."""

    entry: Entry
    letter: DeadLetter | None
    headers: dict[str, str]
    attributes: dict[str, str]
    inputs: str | None
    traceback: str | None


def cut(text: str, characters: int) -> str:
    """The beginning of a text, with how much is missing."""
    left_out = len(text) - characters
    return text if left_out <= 0 else f"{text[:characters]}\n… {left_out:,} more characters"


class DeadLetterService:
    """Dead letters of all lanes. Methods block, and raise SqsError, or OSError when the result store is away."""

    def __init__(self, app: Celery, letters: Letters) -> None:
        self._app = app
        self._letters = letters
        self._lock = threading.Lock()
        self.works: list[OperationProgress] = []
        self.last: Seen | None = None  # the overview as it was read last

    @cached_property
    def lanes(self) -> list[str]:
        """Names of the lanes, for a target to choose."""
        return [queue.lane.name for queue in self._queues()]

    def overview(self) -> Seen:
        """All groups, the largest first, and the lanes that are paused; remembered in `last`."""
        index = self._queues()[0].index
        self.last = Seen(time.time(), index.groups(), index.pauses())
        return self.last

    def page(self, selection: Selection, after: str | None) -> Page:
        """Letters of a group, newest first."""
        return self._queues()[0].index.page(selection, after=after, limit=PAGE_LETTERS)

    def count(self, selection: Selection) -> int:
        """How many letters fit."""
        return self._queues()[0].index.count(selection)

    def show(self, lane: str, letter_id: str) -> Shown:
        """One letter; takes it from its queue for a moment. Raises UnknownDeadLetterError."""
        queue = self._queue(lane)
        found = queue.index.find(letter_id, lane)
        if not found:
            raise UnknownDeadLetterError(letter_id)
        entry = found[0]
        letter = None if entry.state in GONE else queue.letter(entry)
        headers, inputs = self._request(letter)
        attributes = {name: _value(each) for name, each in (letter.attributes or {}).items()} if letter else {}
        own = letter.reason.traceback if letter is not None and letter.reason is not None else None
        return Shown(entry, letter, headers, attributes, inputs, self._traceback(entry) or own)

    def redrive(self, selection: Selection, to_lane: str | None) -> OperationProgress:
        """Send letters back; goes on in a thread of its own."""
        target = Target(lane=to_lane or None)
        return self._begin(
            f"redrive {_said(selection)}" + (f" to {to_lane}" if to_lane else ""),
            selection,
            lambda queue, report: queue.redrive(selection, target, report=report),
        )

    def drop(self, selection: Selection) -> OperationProgress:
        """Delete letters for good; goes on in a thread of its own."""
        return self._begin(
            f"drop {_said(selection)}", selection, lambda queue, report: queue.drop(selection, report=report)
        )

    def _begin(
        self, what: str, selection: Selection, act: Callable[[DeadLetterQueue, Callable[[Progress], None]], Progress]
    ) -> OperationProgress:
        queue = self._queue(selection.lane or "")
        work = OperationProgress(what, Progress(0))
        with self._lock:
            self.works = [*self.works[-_KEPT_WORKS + 1 :], work]

        def report(progress: Progress) -> None:
            work.progress = progress

        def run() -> None:
            try:
                work.progress = act(queue, report)
            except (SqsError, OSError) as error:
                work.failure = str(error)
            except Exception as error:
                work.failure = f"{type(error).__name__}: {error}"
                raise
            finally:
                work.ended = True

        threading.Thread(target=run, name="dead-letters", daemon=True).start()
        return work

    def _queues(self) -> Sequence[DeadLetterQueue]:
        return self._letters(self._app)

    def _queue(self, lane: str) -> DeadLetterQueue:
        for queue in self._queues():
            if queue.lane.name == lane:
                return queue
        raise UnknownDeadLetterError(lane)

    def _request(self, letter: DeadLetter | None) -> tuple[dict[str, str], str | None]:
        """The headers and inputs of a letter, as far as they can be read and the setting lets them be seen."""
        if letter is None:
            return {}, None
        allowed = int(self._app.conf.get("inference_keep_inputs", 0) or 0)
        try:
            message = envelope.decode(letter.body)
            body: str = message["body"].decode("utf-8", "replace")
        except UndecodableError:
            message, body = {"headers": {}}, letter.body
        headers = {
            str(name): cut(json.dumps(value, ensure_ascii=False, default=str), 500)
            for name, value in message["headers"].items()
            if name not in ("argsrepr", "kwargsrepr")
        }
        return headers, cut(body, min(allowed, INPUT_CHARACTERS)) if allowed > 0 else None

    def _traceback(self, entry: Entry) -> str | None:
        if entry.task_id is None:
            return None
        try:
            text = self._app.backend.get_task_meta(entry.task_id).get("traceback")
        except Exception as error:  # a store that is away must not hide the letter
            text = f"the result store cannot be read: {error}"
        return cut(str(text), TRACEBACK_CHARACTERS) if text else None


def wait_for(work: OperationProgress, seconds: float) -> None:
    """Give short work the time to end; blocks."""
    until = time.monotonic() + seconds
    while not work.ended and time.monotonic() < until:
        time.sleep(0.05)


def _said(selection: Selection) -> str:
    if selection.ids:
        return ", ".join(sorted(selection.ids))
    facts = {"cause": selection.cause, "error": selection.error_type, "model": selection.model}
    return " ".join([f"of {selection.lane}", *(f"{name} {value}" for name, value in facts.items() if value)])


def _value(attribute: dict[str, Any]) -> str:
    if "StringValue" in attribute:
        return cut(str(attribute["StringValue"]), 5_000)
    return f"{len(attribute.get('BinaryValue', b''))} bytes"


def selection_of(
    lane: str | None,
    *,
    id: str | None = None,
    cause: str | None = None,
    error_type: str | None = None,
    model: str | None = None,
) -> Selection:
    """A group or, with `id`, one letter; empty texts stand for nothing."""
    ids = frozenset({id} if id else ())
    return Selection(
        lane=lane or None, ids=ids, cause=cause or None, error_type=error_type or None, model=model or None
    )
