"""Chords over a store: the parts that have ended are a set of ids, so that one that ends twice counts once."""

from typing import Any

from celery.canvas import maybe_signature
from celery.exceptions import ChordError, Reject
from celery.result import GroupResult, allow_join_result
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_inference.results.protocol import Chord, StoreUnavailable
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.errors import SqsError

logger = get_logger(__name__)


class ChordParts:
    """Mixed into a backend that has a `store`."""

    app: Any
    store: ResultStore

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Count an ended part by its id, and send the body when it was the last; may be repeated at any time.

        Raises:
            Reject: with requeue, when the store or the broker is away: the part's next delivery repeats this.
        """
        group_id, body = getattr(request, "group", None), getattr(request, "chord", None)
        if not group_id or not body:
            return
        try:
            self._end_part(group_id, str(request.id), body)
        except (StoreUnavailable, SqsError, OperationalError) as error:
            raise Reject(error, requeue=True) from error

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
        if header is None:
            self._fail(callback, ChordError(f"the results of chord {group_id} are not kept any more"))
        else:
            self._send_body(callback, header)
        self.store.close_chord(group_id)

    def _send_body(self, callback: Any, header: Any) -> None:
        try:
            with allow_join_result():
                results = header.join(timeout=self.app.conf.result_chord_join_timeout, propagate=True)
        except StoreUnavailable:
            raise
        except Exception as error:
            failed = next((part.id for part in header.results if part.failed()), "a part")
            self._fail(callback, ChordError(f"Dependency {failed} raised {error!r}"))
            return
        # The body's id was given when the chord was made: sent twice, it still ends once.
        self.app.amqp._retry_publish(callback.delay, results)

    def _fail(self, callback: Any, error: ChordError) -> None:
        logger.error("chord %s: %s", callback.id, error)
        self.chord_error_from_stack(callback, error)  # type: ignore[attr-defined]
