"""What a request costs on DynamoDB: calls and capacity units, counted at moto while a real worker does the work.

    python -m benchmarks.dynamodb_calls

A producer sends, a worker with the demo's embedding model works on the embedded server, and the producer waits for each
result with `get()`: first one after the other, then all at once. Then nobody sends, for a minute.

moto answers over HTTP. Its own figures of capacity are constants, so the units are worked out here from the sizes of
items, by https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html: a write unit for
each KiB of the larger of the item before and after, and once more for each index that holds it; half a read unit for
each 4 KiB of an item, one for a consistent read. A query is taken for a consistent one, of the size of its answer.
Prints JSON.
"""

import io
import json
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from benchmarks.machine import machine
from demo.__main__ import write_catalogue
from demo.stack import Stack
from tests.support.moto_dynamodb import MotoDynamoDB

REQUESTS = 100
IDLE_SECONDS = 60
# https://aws.amazon.com/dynamodb/pricing/on-demand/, standard class, us-east-1, since November 2024
DOLLARS_A_MILLION = {"write": 0.625, "read": 0.125}
LETTER_INDEXES = 2
ACCOUNT = "123456789012"  # moto's

Items = dict[tuple[str, str], int]


class Metered(MotoDynamoDB):
    """Counts the units of each operation, by who asked: the worker and the producer have different access keys."""

    def __init__(self) -> None:
        super().__init__()
        self.units: Counter[tuple[str, str, str]] = Counter()  # who, operation, kind
        self.asked: Counter[tuple[str, str]] = Counter()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        who = "worker" if "Credential=worker/" in environ.get("HTTP_AUTHORIZATION", "") else "producer"
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = json.loads(body or b"{}")
        with self._lock:
            before = self._sizes(request)
        answer = list(super()._serve({**environ, "wsgi.input": io.BytesIO(body)}, start_response))
        with self._lock:
            self.asked[who, operation] += 1
            after = self._sizes(request)
            if operation in ("UpdateItem", "PutItem", "DeleteItem", "BatchWriteItem"):
                for key, size in after.items():
                    units = math.ceil(max(size, before.get(key, 0), 1) / 1_024)
                    copies = 1 + LETTER_INDEXES * key[0].startswith("letters#")
                    self.units[who, operation, "write"] += units * copies
            elif operation in ("GetItem", "BatchGetItem"):
                halves = sum(max(1, math.ceil(size / 4_096)) for size in after.values())
                self.units[who, operation, "read"] += halves * (2 if _is_consistent(request) else 1)
            elif operation == "Query":
                size = len(b"".join(answer))  # of JSON, and so a little more than the items
                self.units[who, operation, "read"] += 2 * max(1, math.ceil(size / 4_096))
        return answer

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self.units.clear()
            self.asked.clear()

    def account(self, requests: float) -> dict[str, Any]:
        """Calls and units a request, by who asked, and dollars a million requests."""
        with self._lock:
            asked, units = Counter(self.asked), Counter(self.units)
        who: dict[str, Any] = {}
        for (name, operation), calls in sorted(asked.items()):
            row = who.setdefault(name, {"calls": {}, "write_units": 0.0, "read_units": 0.0})
            row["calls"][operation] = round(calls / requests, 3)
        for (name, _, kind), count in units.items():
            who[name][f"{kind}_units"] += count / requests / (2 if kind == "read" else 1)
        for row in who.values():
            row["write_units"], row["read_units"] = round(row["write_units"], 3), round(row["read_units"], 3)
            dollars = row["write_units"] * DOLLARS_A_MILLION["write"] + row["read_units"] * DOLLARS_A_MILLION["read"]
            row["dollars_a_million"] = round(dollars, 3)
        return who

    def _sizes(self, request: dict[str, Any]) -> Items:
        """The size of each item that a request names; 0 for what is not there."""
        table, keys = request.get("TableName"), [request[part] for part in ("Key", "Item") if part in request]
        for name, wanted in request.get("RequestItems", {}).items():
            table = name
            things = wanted["Keys"] if isinstance(wanted, dict) else wanted
            keys += [_key_of(thing) for thing in things]
        found = dynamodb_backends[ACCOUNT]["us-east-1"].tables.get(str(table))
        sizes: Items = {}
        for key in keys:
            place = key["id"]["S"], key["part"]["S"]
            partition: Any = found.items.get(DynamoType(key["id"]), {}) if found is not None else {}
            item = partition.get(DynamoType(key["part"]))
            sizes[place] = item.size() if item is not None else 0
        return sizes


def _key_of(thing: dict[str, Any]) -> dict[str, Any]:
    if "PutRequest" in thing:
        item: dict[str, Any] = thing["PutRequest"]["Item"]
        return item
    if "DeleteRequest" in thing:
        key: dict[str, Any] = thing["DeleteRequest"]["Key"]
        return key
    return thing


def _is_consistent(request: dict[str, Any]) -> bool:
    nested = [wanted.get("ConsistentRead") for wanted in request.get("RequestItems", {}).values()]
    return bool(request.get("ConsistentRead") or any(nested))


def measure(attempts: str, folder: Path) -> dict[str, Any]:
    """One row: a hundred requests that succeed, with `attempts` written for each or for redelivered ones."""
    from celery_inference import infer
    from tests.support.client import client_of

    server = Metered()
    server.start()
    url = server.url("results")
    settings = {
        "CELERY_INFERENCE_RESULT_BACKEND": url.replace("any:any", "worker:any"),
        "CELERY_INFERENCE_ATTEMPTS": attempts,
    }
    with Stack(folder, catalogue=_catalogue(folder), **settings) as stack:
        stack.start_server()
        stack.start_worker()
        stack.environment["CELERY_INFERENCE_RESULT_BACKEND"] = url.replace("any:any", "producer:any")
        with client_of(stack):
            infer.delay("fragile", "The first.").get(timeout=60)
            server.clear()
            seconds = [_one(infer, number) for number in range(REQUESTS)]
            row = {"attempts": attempts, "one_by_one": server.account(REQUESTS), "median_seconds": _median(seconds)}
            server.clear()
            for result in [infer.delay("fragile", f"Parcel {number} is late.") for number in range(REQUESTS)]:
                result.get(timeout=60)
            row["at_once"] = server.account(REQUESTS)
            server.clear()
            time.sleep(IDLE_SECONDS)
            row["idle_a_minute"] = server.account(IDLE_SECONDS / 60)
    server.stop()
    return row


def _catalogue(folder: Path) -> Path:
    folder.mkdir(parents=True)
    text = write_catalogue(folder).read_text(encoding="utf-8")
    path = folder / "one.toml"
    path.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    return path


def _one(task: Any, number: int) -> float:
    begun = time.monotonic()
    task.delay("fragile", f"Letter {number} is late.").get(timeout=60)
    return time.monotonic() - begun


def _median(seconds: list[float]) -> float:
    return round(statistics.median(seconds), 3)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(attempts, Path(folder) / attempts) for attempts in ("every", "redelivered")]
    print(json.dumps({"machine": machine(), "requests": REQUESTS, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
