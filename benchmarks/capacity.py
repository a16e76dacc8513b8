"""What a rate of requests takes on AWS, a month: workers, SQS requests, the result store, and what runs into a limit.

    python -m benchmarks.capacity --requests-per-second 1 100 10000 --worker-rate 20 --gpu-dollars-an-hour 0.8048

Arithmetic on figures that others of these scripts have measured on the embedded server and on moto, and on AWS's list
prices; nothing is measured here, and nothing of it was ever billed.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.lanes import LANES

HOURS = 730.0
SECONDS = HOURS * 3_600
HEADROOM = 1.1  # tasks.autoscale.policy.Goal: workers for a tenth more than arrives

# https://aws.amazon.com/sqs/pricing/, standard queues, first tier, us-east-1; a request is a call of up to 64 KiB.
SQS_DOLLARS_A_MILLION = 0.40
# https://aws.amazon.com/dynamodb/pricing/on-demand/, us-east-1.
WRITE_DOLLARS_A_MILLION = 0.625
READ_DOLLARS_A_MILLION = 0.125

# benchmarks/calls_at_rate.py: requests that arrive one by one at a worker that keeps up. benchmarks/transport.py: at
# workers that are never without a backlog, sent in bulk.
CALLS_WHEN_RARE = 3.4
CALLS_WHEN_KEEPING_UP = 2.4
CALLS_FROM_A_BACKLOG_IN_BULK = 0.30
HELD_BATCHES = 8  # of a kind that batches, a device: celery_inference/specs/pipeline_tasks.py
# An idle lane's long poll of a worker, each 10 s (docs/transport.md).
POLLS_A_SECOND_AND_IDLE_LANE = 0.1
# benchmarks/broadcast_calls.py: a hundred busy workers and one Flower.
BROADCAST_DOLLARS_A_WORKER = 0.37


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rate takes; dollars are of a month."""

    requests_per_second: float
    workers: int
    gpu_dollars: float
    sqs_dollars: float
    sqs_dollars_in_bulk: float
    store_dollars: float
    broadcast_dollars: float
    held_at_most: int
    lanes_for_what_is_held: int


def plan(rate: float, *, worker_rate: float, batch_size: int, gpu_dollars: float, writes: float, reads: float) -> Plan:
    """`writes` and `reads` are DynamoDB's units a request; `gpu_dollars` an hour of a host."""
    workers = max(1, math.ceil(rate * HEADROOM / worker_rate))
    requests = rate * SECONDS
    calls = CALLS_WHEN_RARE if rate / workers < 5 else CALLS_WHEN_KEEPING_UP
    idle_polls = workers * (len(LANES) - 1) * POLLS_A_SECOND_AND_IDLE_LANE * SECONDS
    # Never more than 8 batches, nor than is drained in a third of a lease (tasks/worker/prefetch.py).
    held = workers * min(HELD_BATCHES * batch_size, max(2 * batch_size, math.ceil(worker_rate * 10)))
    return Plan(
        requests_per_second=rate,
        workers=workers,
        gpu_dollars=round(workers * gpu_dollars * HOURS),
        sqs_dollars=round((requests * calls + idle_polls) / 1e6 * SQS_DOLLARS_A_MILLION, 2),
        sqs_dollars_in_bulk=round(
            (requests * CALLS_FROM_A_BACKLOG_IN_BULK + idle_polls) / 1e6 * SQS_DOLLARS_A_MILLION, 2
        ),
        store_dollars=round(requests / 1e6 * (writes * WRITE_DOLLARS_A_MILLION + reads * READ_DOLLARS_A_MILLION), 2),
        broadcast_dollars=round(workers * BROADCAST_DOLLARS_A_WORKER, 2),
        held_at_most=held,
        lanes_for_what_is_held=math.ceil(held / limits.MAX_IN_FLIGHT_STANDARD),
    )


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests-per-second", nargs="+", type=float, default=[1.0, 100.0, 10_000.0])
    parser.add_argument("--worker-rate", type=float, default=20.0, help="requests a second of one worker, measured")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--gpu-dollars-an-hour", type=float, default=0.8048, help="g6.xlarge on demand, us-east-1")
    parser.add_argument("--writes", type=float, required=True, help="DynamoDB's write units a request")
    parser.add_argument("--reads", type=float, required=True, help="and its read units")
    given = parser.parse_args()
    plans: list[dict[str, Any]] = [
        asdict(
            plan(
                rate,
                worker_rate=given.worker_rate,
                batch_size=given.batch_size,
                gpu_dollars=given.gpu_dollars_an_hour,
                writes=given.writes,
                reads=given.reads,
            )
        )
        for rate in given.requests_per_second
    ]
    print(json.dumps({"plans": plans}, indent=2))


if __name__ == "__main__":
    main()
