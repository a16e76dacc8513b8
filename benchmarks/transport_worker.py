"""The Celery program of `transport.py`: tasks that do nothing, over our transport or stock kombu's.

Set up by environment, because workers are processes of their own: BENCH_BROKER (URL), BENCH_TRANSPORT (`ours`
or `stock`), BENCH_SETTINGS (JSON: the settings in which a contender differs from Celery's defaults).
"""

import json
import os
import socket
import time

from celery import Celery

from celery_inference.sqs.lanes import DeclaredQueue, Lane

OURS = os.environ.get("BENCH_TRANSPORT", "ours") == "ours"
LANE = Lane(
    DeclaredQueue("noop"),
    DeclaredQueue("noop-dlq", max_message_bytes=1_048_576, retention_seconds=1_209_600),
    max_receive_count=10,
)

app = Celery("benchmarks.transport_worker", broker=os.environ.get("BENCH_BROKER", "sqs://k:s@127.0.0.1:9324//"))
app.conf.update(task_default_queue=LANE.name, broker_transport_options={"region": "us-east-1"})
app.conf.update(json.loads(os.environ.get("BENCH_SETTINGS", "{}")))
if OURS:
    app.conf.broker_transport = "celery_inference.sqs.transport.connection:Transport"
    app.conf.broker_transport_options = {"region": "us-east-1", "lanes": (LANE,)}


@app.task(name="noop")
def noop() -> None:
    """Nothing: what remains is the transport and Celery."""


@app.task(name="started")
def started(sent_at: float, port: int) -> None:
    """Tell the benchmark how long after `sent_at` (monotonic, one machine) this began."""
    seconds = time.monotonic() - sent_at
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(repr(seconds).encode(), ("127.0.0.1", port))
