"""Chords over a store: the parts that have ended are a set of ids, so that one that ends twice counts once."""

from typing import Any

from celery.canvas import maybe_signature
from celery.exceptions import ChordError, Reject
from celery.result import GroupResult, ResultSet
from celery.states import PROPAGATE_STATES, READY_STATES
from celery.utils.log import get_logger

from celery_inference.results.followers import Followers, is_lasting
from celery_inference.results.protocol import Chord
from celery_inference.results.store.store import ResultStore

logger = get_logger(__name__)


class ChordParts(Followers):
    """Mixed into a backend that has a `store`."""

    store: ResultStore

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Count an ended part by its id, and send the body when it was the last; may be repeated at any time.

        A body that can never be sent is FAILURE.

        Raises:
            Reject: with requeue, when the store or the broker is away: the part's next delivery repeats this.
        """
        group_id, body = getattr(request, "group", None), getattr(request, "chord", None)
        if not group_id or not body:
            return
        try:
            self._end_part(group_id, str(request.id), body)
        except Exception as error:
            if not is_lasting(error):
                raise Reject(error, requeue=True) from error
            logger.error("request %s has ended, and its chord cannot: %r", request.id, error)
            self.fail_unsent(body, error)

    def _end_part(self, group_id: str, task_id: str, body: Any) -> None:
        size = body.get("chord_size")
        header = None
        if size is None:
            header = GroupResult.restore(group_id, backend=self)
            size = len(header) if header is not None else 0
        if self.store.end_part(group_id, task_id, size) is not Chord.ENDED:
            return
        header = header or GroupResult.restore(group_id, backend=self)
        callback = maybe_signature(body, app=self.app)
        try:
            if header is None:
                raise ChordError(f"the results of chord {group_id} are not kept any more")
            # The body's id was given when the chord was made: sent twice, it still ends once.
            self.app.amqp._retry_publish(callback.delay, self._results(header))
        except Exception as error:
            if not is_lasting(error):
                raise
            logger.error("chord %s: %s", callback.id, error)
            self.fail_unsent(callback, error)
        self.store.close_chord(group_id)

    def _results(self, header: ResultSet) -> list[Any]:
        """The parts' results; raises ChordError for the first that has none.

        Read from the store, not by `join()`: that is forbidden within a task by a switch of the whole process, which
        threads would set and reset for each other.
        """
        single = [part for part in header.results if not isinstance(part, ResultSet)]
        found = dict(zip((part.id for part in single), self._metas([part.id for part in single]), strict=True))
        results: list[Any] = []
        for part in header.results:
            if isinstance(part, ResultSet):
                results.append(self._results(part))
                continue
            meta = found[part.id]
            if meta is None or meta["status"] not in READY_STATES:
                raise ChordError(f"Dependency {part.id} has no result")
            if meta["status"] in PROPAGATE_STATES:
                raise ChordError(f"Dependency {part.id} raised {meta['result']!r}")
            results.append(meta["result"])
        return results

    def _metas(self, task_ids: list[str]) -> list[dict[str, Any] | None]:
        backend: Any = self
        found = backend.mget([backend.get_key_for_task(task_id) for task_id in task_ids])
        return [backend.decode_result(value) if value else None for value in found]
