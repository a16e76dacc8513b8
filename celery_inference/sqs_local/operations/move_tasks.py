"""The operations on message move tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from celery_inference.sqs_local.http import validation
from celery_inference.sqs_local.operations.queues import Answer, Call
from celery_inference.sqs_local.state.move_tasks import KEPT_TASKS, RUNNING, MoveTask

MAX_MOVES_PER_SECOND: Final = 500  # API_StartMessageMoveTask


def start_message_move_task(call: Call) -> Answer:
    source = validation.text(call.params, "SourceArn")
    destination = validation.optional_text(call.params, "DestinationArn")
    per_second = validation.whole(call.params, "MaxNumberOfMessagesPerSecond", 1, MAX_MOVES_PER_SECOND)
    task = call.moves.start(call.new_id(), source, destination or None, per_second, call.now_ms)
    return {"TaskHandle": task.handle}


def cancel_message_move_task(call: Call) -> Answer:
    task = call.moves.cancel(validation.text(call.params, "TaskHandle"))
    return {"ApproximateNumberOfMessagesMoved": task.moved}


def list_message_move_tasks(call: Call) -> Answer:
    count = validation.whole(call.params, "MaxResults", 1, KEPT_TASKS)
    tasks = call.moves.newest(validation.text(call.params, "SourceArn"), count or 1, call.now_ms)
    return {"Results": [_shown(task) for task in tasks]}


def _shown(task: MoveTask) -> Answer:
    shown: Answer = {
        "Status": task.status,
        "SourceArn": task.source_arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    }
    if task.status == RUNNING:
        shown["TaskHandle"] = task.handle
    if task.destination_arn is not None:
        shown["DestinationArn"] = task.destination_arn
    if task.per_second is not None:
        shown["MaxNumberOfMessagesPerSecond"] = task.per_second
    if task.failure is not None:
        shown["FailureReason"] = task.failure
    return shown


MOVE_OPERATIONS: Final[Mapping[str, Callable[[Call], Answer]]] = {
    "StartMessageMoveTask": start_message_move_task,
    "CancelMessageMoveTask": cancel_message_move_task,
    "ListMessageMoveTasks": list_message_move_tasks,
}
