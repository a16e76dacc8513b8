"""Dead letters for tests: a lane of one's own on a server, an index in a folder, and letters in the queue."""

import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.store.dead_letter_index import TableDeadLetterIndex
from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.dead_letters.index import DeadLetterIndex
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Cause, Reason
from celery_inference.sqs.queues import provisioning

_numbers = itertools.count(1)


def lane_named(name: str) -> Lane:
    stem, dot, suffix = name.partition(".")
    dead = DeclaredQueue(f"{stem}-dlq{dot}{suffix}", max_message_bytes=1_048_576, retention_seconds=1_209_600)
    return Lane(DeclaredQueue(name), dead)


def body_of(
    task_id: str, task: str = "celery_inference.feature_extraction", model: str = "small", **headers: Any
) -> str:
    """A message as our transport sends it."""
    return json.dumps(
        {
            "body": json.dumps([[], {"inputs": f"private words of {task_id}", "model": model}, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"id": task_id, "task": task, "retries": 0, "expires": None, "eta": None, **headers},
            "properties": {"correlation_id": task_id, "delivery_info": {}, "body_encoding": "utf-8"},
        },
        separators=(",", ":"),
    )


def reason(message: str = "it is broken", **values: Any) -> Reason:
    given = {"attempts": 4, "cause": Cause.ATTEMPTS_USED_UP, "failed_at": time.time() - 5, "model": "small"}
    return Reason(values.pop("error_type", "ValueError"), message, **(given | values))


@dataclass
class DeadLetterRig:
    """One lane with its index."""

    lane: Lane
    clients: SqsClients
    index: DeadLetterIndex
    backend: SQLiteBackend
    queue: DeadLetterQueue

    def send(self, body: str, why: Reason | None = None, *, to: str | None = None, **attributes: Any) -> str:
        """Put a message into the dead-letter queue (or another), as a worker buries it or as SQS redrives it."""
        name = to or self.lane.dead_letter_queue.name
        given = {key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()}
        if why is not None:
            given[REASON_ATTRIBUTE] = {"DataType": "String", "StringValue": why.to_json()}
        fifo: dict[str, Any] = {}
        if name.endswith(".fifo"):
            fifo = {"MessageGroupId": f"g{next(_numbers)}", "MessageDeduplicationId": str(next(_numbers))}
        answer = self.clients.client.send_message(
            QueueUrl=self.clients.queue_url(name), MessageBody=body, MessageAttributes=given, **fifo
        )
        return str(answer["MessageId"])

    def take(self, name: str | None = None) -> list[dict[str, Any]]:
        """Receive and delete all of a queue; the lane's own by default."""
        url = self.clients.queue_url(name or self.lane.name)
        taken: list[dict[str, Any]] = []
        while True:
            answer = self.clients.client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return taken
            for message in messages:
                self.clients.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(dict(message))

    def dead(self) -> int:
        return self.queue.count().total


def dead_letter_rig(endpoint_url: str, folder: Path, name: str | None = None) -> DeadLetterRig:
    """A lane with queues of its own, and an index in this folder."""
    lane = lane_named(name or f"lane{next(_numbers)}")
    clients = SqsClients(SqsEndpoint(url=endpoint_url, region="us-east-1", access_key="k", secret_key="s"))
    provisioning.create(clients.client, lane)
    app = Celery("letters", set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"])
    backend = SQLiteBackend(app=app, url=f"sqlite:///{folder / 'results.sqlite'}")
    index = TableDeadLetterIndex(backend.store)
    other = lane_named("elsewhere")
    return DeadLetterRig(lane, clients, index, backend, DeadLetterQueue(clients, lane, index, lanes=(lane, other)))
