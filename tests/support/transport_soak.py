"""A worker under changing faults for a while: `python -m tests.support.transport_soak --minutes 10`.

Sends tasks all the while, changes the fault every few seconds, kills a worker now and then, and accounts for
every task in the end: run, or a dead letter. Prints JSON; status 1 when something is unaccounted for.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from kombu.exceptions import OperationalError

from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in

OPTIONS = {"lease_seconds": 8, "wait_time_seconds": 2, "call_timeout_seconds": 1.0, "release_cap_seconds": 2.0}
OPERATIONS = ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessage", "GetQueueUrl")
KINDS = (
    Fault("status", status=500, code="InternalFailure"),
    Fault("status", status=503),
    Fault("status", status=400, code="ThrottlingException"),
    Fault("status", status=403, code="ExpiredTokenException"),
    Fault("reset"),
    Fault("half"),
    Fault("lost"),
    Fault("hang"),
    Fault("none", latency_seconds=0.3),
)


def soak(rig: Rig, proxy: FaultProxy, seconds: float, kill_every_seconds: float) -> dict[str, Any]:
    rand = random.Random(5)
    worker = rig.worker(concurrency=8, port=proxy.port, **OPTIONS)
    sent, bad, refused, kills = 0, 0, 0, 0
    memory: list[float] = []
    started = time.monotonic()
    next_fault, next_kill, next_look = started, started + kill_every_seconds, started
    with rig.app(proxy.port, call_timeout_seconds=1.0):
        while (now := time.monotonic()) - started < seconds:
            if now >= next_fault:
                next_fault = now + rand.uniform(1.0, 4.0)
                proxy.heal()
                for operation in rand.sample(OPERATIONS, rand.randint(0, 3)):
                    proxy.fail(operation, rand.choice(KINDS))
            if now >= next_kill:
                next_kill = now + kill_every_seconds
                worker.kill()
                worker.wait()
                kills += 1
                proxy.heal()
                worker = rig.worker(concurrency=8, port=proxy.port, **OPTIONS)
            if now >= next_look:
                next_look = now + 5.0
                assert worker.poll() is None, rig.log()
                memory.append(round(psutil.Process(worker.pid).memory_info().rss / 2**20, 1))
            try:
                if rand.random() < 0.1:
                    program.fail.delay(f"bad{bad}")
                    bad += 1
                else:
                    program.note.delay(f"task{sent}", rand.choice((0.0, 0.0, 0.05, 0.5)))
                    sent += 1
            except OperationalError:
                refused += 1
            time.sleep(0.02)
    proxy.heal()
    rig.until(rig.empty, 180.0)
    assert worker.poll() is None, rig.log()
    run = {line.split()[0] for line in rig.notes()}
    letters = {
        json.loads(json.loads(letter.body)["body"])[0][0] for letter in peek(rig.client, rig.lane, limit=100_000)
    }
    # A send whose answer was lost may have arrived, so more may have come than was counted, and not less.
    missing = [f"task{number}" for number in range(sent) if f"task{number}" not in run | letters]
    missing += [f"bad{number}" for number in range(bad) if f"bad{number}" not in letters]
    executions = len(rig.notes())
    status = rig.stop(worker)
    return {
        "seconds": round(time.monotonic() - started),
        "sent": sent,
        "bad": bad,
        "refused at delay()": refused,
        "missing": missing,
        "executions beyond one": executions - len(run),
        "kills": kills,
        "worker status at the end": status,
        "memory MiB, every 5 s": memory,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kill-every-seconds", type=float, default=1e9)
    given = parser.parse_args()
    with rig_in(Path(tempfile.mkdtemp())) as rig, FaultProxy(rig.port) as proxy:
        provisioning.create(rig.client, rig.lane)
        url = rig.client.get_queue_url(QueueName=rig.lane.name)["QueueUrl"]
        arn = rig.client.get_queue_attributes(
            QueueUrl=rig.client.get_queue_url(QueueName=rig.lane.dead_letter_queue.name)["QueueUrl"],
            AttributeNames=["QueueArn"],
        )["Attributes"]["QueueArn"]
        # Receives are wasted on purpose here; the redrive of SQS must not end tasks before us.
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1_000})
        rig.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
        report = soak(rig, proxy, given.minutes * 60, given.kill_every_seconds)
    print(json.dumps(report, indent=1))
    return 1 if report["missing"] else 0


if __name__ == "__main__":
    sys.exit(main())
