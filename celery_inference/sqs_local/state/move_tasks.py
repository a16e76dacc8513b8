"""Message move tasks: bring the messages of a dead-letter queue back, at a rate, until there are none left."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass
from typing import Any, Final

from celery_inference.sqs_local.http.errors import ApiError, invalid, unsupported
from celery_inference.sqs_local.state.message import StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.queue_attributes import name_of
from celery_inference.sqs_local.state.store import QueueStore

RUNNING: Final = "RUNNING"
MAX_MOVES_A_STEP: Final = 100  # so that a large move lets other requests in between
MAX_BYTES_A_STEP: Final = 1024 * 1024
STEP_ROOM_BYTES: Final = 5 * 1024 * 1024  # a step may exceed its bytes by one message, and escapes may double them
KEPT_TASKS: Final = 10  # API_ListMessageMoveTasks: the most recent ones of a source queue


@dataclass
class MoveTask:
    """One task. `destination` None sends each message back to the queue that it came from."""

    id: str
    source_arn: str
    destination_arn: str | None
    per_second: int | None
    started_ms: int
    to_move: int
    moved: int = 0
    status: str = RUNNING
    failure: str | None = None

    @property
    def handle(self) -> str:
        return urlsafe_b64encode(f"{self.id}/{self.source_arn}".encode()).decode()


class MoveTasks:
    """The tasks of a store, oldest first."""

    def __init__(self, store: QueueStore) -> None:
        self._store = store
        self._tasks: dict[str, MoveTask] = {}
        # Per running task: from when on its rate counts, and how many it had moved then.
        self._paced_from: dict[str, tuple[int, int]] = {}

    @property
    def running(self) -> list[str]:
        """The ids of the running tasks."""
        return list(self._paced_from)

    def start(
        self, id_: str, source_arn: str, destination_arn: str | None, per_second: int | None, now_ms: int
    ) -> MoveTask:
        """Raises ApiError where there is no such queue, nothing to move back to, or a task is running."""
        source = self._queue(source_arn, "SourceArn", now_ms)
        if destination_arn is not None:
            target = self._queue(destination_arn, "DestinationArn", now_ms)
            if target.settings.fifo != source.settings.fifo or target is source:
                raise invalid("Source and destination must be different queues of the same type.")
        if not self._store.sources_of(source.name):
            raise invalid("Source queue must be configured as a Dead Letter Queue.")
        if any(task.status == RUNNING for task in self._of(source.name)):
            raise invalid(
                "There is already a task running. Only one active task is allowed for a source queue arn at a"
                " given time."
            )
        task = MoveTask(id_, self._store.arn(source.name), destination_arn, per_second, now_ms, source.ready)
        self._tasks[task.id] = task
        self._paced_from[task.id] = (now_ms, 0)
        self._forget_old(source.name)
        self._record(task)
        return task

    def cancel(self, handle: str) -> MoveTask:
        try:
            id_ = urlsafe_b64decode(handle).decode("ascii").partition("/")[0]
        except ValueError:
            raise invalid("Value for parameter TaskHandle is invalid.") from None
        task = self._tasks.get(id_)
        if task is None or task.handle != handle:
            raise ApiError("ResourceNotFoundException", "Task does not exist.", status=404)
        if task.status != RUNNING:
            raise unsupported("Only active tasks can be cancelled.")
        self._finish(task, "CANCELLED")
        return task

    def newest(self, source_arn: str, count: int, now_ms: int) -> list[MoveTask]:
        source = self._queue(source_arn, "SourceArn", now_ms)
        return self._of(source.name)[::-1][:count]

    def step(self, id_: str, now_ms: int) -> None:
        """Moves what a running task may have moved by now, within the bounds of a step."""
        task = self._tasks[id_]
        source = self._store.queues.get(name_of(task.source_arn))
        if source is None:
            self._finish(task, "FAILED", "AWS.SimpleQueueService.NonExistentQueue")
            return
        self._store.advance(source, now_ms)
        allowed = MAX_MOVES_A_STEP
        if task.per_second is not None:
            since_ms, moved_before = self._paced_from[task.id]
            allowed = min(allowed, (now_ms - since_ms) * task.per_second // 1000 + 1 - (task.moved - moved_before))
        moved = moved_bytes = 0
        while moved < allowed and moved_bytes < MAX_BYTES_A_STEP and task.status == RUNNING:
            message = source.take()
            if message is None:
                self._finish(task, "COMPLETED")
            elif self._bring_back(task, source, message, now_ms):
                moved += 1
                moved_bytes += message.content_bytes()
        source.end_call()
        if moved and task.status == RUNNING:
            self._record(task)

    def _bring_back(self, task: MoveTask, source: LocalQueue, message: StoredMessage, now_ms: int) -> bool:
        arn = task.destination_arn or message.source_arn
        target = self._store.queues.get(name_of(arn)) if arn else None
        if target is None:
            source.untake(message)
            reason = "AWS.SimpleQueueService.NonExistentQueue" if arn else "CouldNotDetermineMessageSource"
            self._finish(task, "FAILED", reason)
            return False
        self._store.renew(source, target, message, now_ms)
        task.moved += 1
        return True

    def _queue(self, arn: str, parameter: str, now_ms: int) -> LocalQueue:
        name = name_of(arn)
        if name not in self._store.queues or arn != self._store.arn(name):
            reason = f"The resource that you specified for the {parameter} parameter doesn't exist."
            raise ApiError("ResourceNotFoundException", reason, status=404)
        return self._store.queue(name, now_ms)

    def _of(self, source: str) -> list[MoveTask]:
        """By the name alone: the server may have had another region when the task began."""
        return [task for task in self._tasks.values() if name_of(task.source_arn) == source]

    def _forget_old(self, source: str) -> None:
        for old in self._of(source)[:-KEPT_TASKS]:
            del self._tasks[old.id]

    def _finish(self, task: MoveTask, status: str, failure: str | None = None) -> None:
        task.status = status
        task.failure = failure
        del self._paced_from[task.id]
        self._record(task)

    def _record(self, task: MoveTask) -> None:
        self._store.events.append(["task", asdict(task)])

    def record_all(self) -> None:
        for task in self._tasks.values():
            self._record(task)

    def restore(self, fields: dict[str, Any], now_ms: int) -> None:
        """A task from the journal; a running one goes on from `now_ms`."""
        task = MoveTask(**fields)
        self._tasks[task.id] = task
        self._paced_from.pop(task.id, None)
        if task.status == RUNNING:
            self._paced_from[task.id] = (now_ms, task.moved)
        self._forget_old(name_of(task.source_arn))
