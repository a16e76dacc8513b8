"""What Celery's result backends of ours share: a worker's patience with its store, first-wins states, and waiting."""

import math
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import Reject
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.states import PENDING, READY_STATES

from celery_inference.redaction import traceback_of
from celery_inference.results.chords import ChordParts
from celery_inference.results.encoding import as_bytes, encoded
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.rules import NewState
from celery_inference.results.store.dead_letter_index import TableDeadLetterIndex
from celery_inference.results.store.states import States
from celery_inference.results.store.store import ResultStore
from celery_inference.results.table import ItemTable
from celery_inference.sqs.consumer.pause import Pauses

RETRY_SECONDS = 0.5

AWAY = "result store"


class Patience:
    """A worker's with its store: a result that it holds is the work of a GPU. Thread-safe.

    A store that is full or away is waited for, with nothing more received; from `end` on, what cannot be stored is
    released for another delivery.
    """

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._ending = threading.Event()
        self.stored_at = -math.inf  # monotonic seconds of the last outcome that was stored

    def wait(self, error: StoreUnavailable) -> None:
        """For a moment; raises Reject when the worker ends."""
        if self._ending.is_set():
            # Not the error itself: Celery's tracer would try to store that as the request's failure.
            raise Reject(error, requeue=True) from error
        self._pauses.hold(AWAY, f"results cannot be stored, and are held until they can: {error}")
        self._ending.wait(RETRY_SECONDS)

    def stored(self) -> None:
        """A result was stored: the store is there."""
        self.stored_at = time.monotonic()
        if self._pauses.held:
            self._pauses.let_go(AWAY)

    def end(self) -> None:
        """The worker ends."""
        self._ending.set()


class StoreBackend(ChordParts, KeyValueStoreBackend):
    """A backend with a table, and over it the store and the index of dead letters. Methods may be called from any
    thread, and raise StoreUnavailable.

    The first final state that is stored for a generation of a task stays: a redelivered request cannot replace it.
    """

    supports_autoexpire = True
    implements_incr = True

    # Of the worker that this process is; others get the error of a store that is away.
    patience: Patience | None = None
    # Between two looks of one who waits for a result: the first, how it grows, and the longest.
    poll_seconds: ClassVar[tuple[float, float, float]]

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(url=url, **kwargs)
        self.table = self.make_table(url or "")
        self._states = States(self.table)
        self.store = ResultStore(self.table, key_of=self.get_key_for_task, pending_of=self.pending_of)
        self.dead_letters = TableDeadLetterIndex(self.store)

    @abstractmethod
    def make_table(self, url: str) -> ItemTable:
        """The table that a URL names; makes no call yet."""

    def check(self) -> list[str]:
        """What keeps a worker from starting, each a part of a sentence. Raises StoreUnavailable."""
        return self.table.check()

    def get(self, key: bytes) -> bytes | None:
        """The stored value, or None."""
        return next(iter(self.mget([key])), None)

    def mget(self, keys: Iterable[bytes]) -> Iterator[bytes | None]:
        """The stored value of each key, or None, in the keys' order."""
        wanted = list(keys)
        found = self._states.read(wanted, time.time())
        return iter([found.get(key) for key in wanted])

    def set(self, key: bytes, value: bytes | str) -> None:
        """Store a value that later ones may replace."""
        self._states.put(key, value.encode() if isinstance(value, str) else value, self._expires_at())

    def delete(self, key: bytes) -> None:
        """Forget a value."""
        self._states.delete(key)

    def glance(self, task_id: str) -> dict[str, Any]:
        """As `get_task_meta`, for one who will look again: what it gives may be a moment old."""
        try:
            return dict(self._cache[task_id])
        except KeyError:
            key = self.get_key_for_task(task_id)
        found = self._states.read([key], time.time(), lagging=True).get(key)
        meta: dict[str, Any] = self.decode_result(found) if found else {"status": PENDING, "result": None}
        return meta

    def pending_of(self, task_id: str) -> bytes:
        """The encoded state of a task that has not begun."""
        return self._bytes(
            {"status": PENDING, "result": None, "traceback": None, "children": [], "task_id": task_id},
        )

    def _bytes(self, meta: dict[str, Any]) -> bytes:
        return encoded(meta, self.encode) if self.serializer == "json" else as_bytes(self.encode(meta))

    def _expires_at(self) -> float | None:
        return time.time() + self.expires if self.expires else None

    def _ensure_retryable(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run one of Celery's operations; a worker tries its stores again until they succeed. None is half done."""
        patience = self.patience if func.__name__ == "_store_result" else None
        for option in ("fallback_exc", "fallback_msg", "max_retries"):
            kwargs.pop(option, None)
        while True:
            try:
                returned = func(*args, **kwargs)
            except StoreUnavailable as error:
                if patience is None:
                    raise
                patience.wait(error)
            else:
                if patience is not None:
                    patience.stored()
                return returned

    def mark_as_failure(self, task_id: str, exc: BaseException, traceback: str | None = None, **options: Any) -> Any:
        """As Celery's; the stored traceback is shown by commands and pages, and told as they may."""
        keep = self.app.conf.get("inference_keep_inputs", 0)
        if traceback and keep <= 0 and exc.__traceback__ is not None:
            traceback = traceback_of(exc, keep)
        return super().mark_as_failure(task_id, exc, traceback, **options)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        # Celery reads before it writes; here the write itself is conditional.
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        new = NewState(
            key=self.get_key_for_task(task_id),
            value=self._bytes(meta),
            final=state in READY_STATES,
            generation=getattr(request, "inference_generation", None),
            now=time.time(),
            expires_at=self._expires_at(),
        )
        self._states.store([new])
        return result

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> dict[str, Any]:
        """Wait for a final state, looking often at first and then ever more seldom, see `poll_seconds`.

        Raises:
            celery.exceptions.TimeoutError: there was none within `timeout` seconds.
        """
        self._ensure_not_eager()
        until = None if timeout is None else time.monotonic() + timeout
        nap, growth, longest = self.poll_seconds
        with self.waiting(task_id) as wait:
            while True:
                meta = self.glance(task_id)
                if meta["status"] in READY_STATES:
                    return meta
                if on_interval:
                    on_interval()
                left = longest if until is None else until - time.monotonic()
                if left <= 0:
                    raise CeleryTimeoutError("The operation timed out.")
                wait(min(nap, left))
                nap = min(nap * growth, longest)

    def waiting(self, task_id: str) -> AbstractContextManager[Callable[[float], None]]:
        """Around the looks of one who waits for a result; what it gives waits until there may be one, or so many
        seconds."""
        return nullcontext(time.sleep)
