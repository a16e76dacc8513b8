"""The calls to one DynamoDB table: bounded in time, in batches, and with one error for whatever may pass."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from celery_inference.results.dynamodb.expressions import (
    plain_item,
    query_expressions,
    typed,
    typed_item,
    update_expressions,
)
from celery_inference.results.dynamodb.schema import differences, table
from celery_inference.results.dynamodb.url import TableUrl
from celery_inference.results.items import ID, PART, TTL, Item, ItemUpdate, Key, Query, key_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.table import Decide, ItemTable
from celery_inference.sqs.api.backoff import full_jitter
from celery_inference.sqs.api.client_factory import make_client_of
from celery_inference.sqs.errors import NoRegionError, is_credentials

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
MAX_GETS = 100  # items of one BatchGetItem
MAX_WRITES = 25  # items of one BatchWriteItem

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
ATTEMPTS = 3  # of botocore at one call, with its own backoff between them
BATCH_TRIES = 8  # of what DynamoDB leaves of a batch
REVISIONS = 40  # of an item that others change at the same time
THREADS = 16  # calls at the same time for one thread that has many to make
RENEW_CREDENTIALS_SECONDS = 30.0

MISSING = "ResourceNotFoundException"
# Mistakes of this program's, which waiting does not mend.
WRONG = frozenset({"ValidationException", "SerializationException", "UnknownOperationException"})

T = TypeVar("T")
R = TypeVar("R")


class Conflict(Exception):
    """The item is not what it was taken for; `present` is what it is, empty if there is none."""

    def __init__(self, present: Item) -> None:
        super().__init__()
        self.present = present


class DynamoDBTable(ItemTable):
    """See ItemTable; after a fork the child opens connections of its own."""

    bounded = True
    look_seconds = 10.0

    def __init__(self, place: TableUrl) -> None:
        self.place = place
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._client: Any = None
        self._made_at = 0.0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dynamodb")

    @property
    def client(self) -> Any:
        """The boto3 client of this process."""
        if self._process != os.getpid():
            self._begin()
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
                    self._made_at = time.monotonic()
        return self._client

    def _make(self) -> Any:
        place = self.place
        try:
            return make_client_of(
                "dynamodb",
                endpoint_url=place.endpoint,
                region=place.region,
                access_key=place.access_key,
                secret_key=place.secret_key,
                read_timeout_seconds=READ_SECONDS,
                connect_timeout_seconds=CONNECT_SECONDS,
                attempts=ATTEMPTS,
            )
        except NoRegionError as error:
            raise StoreUnavailable(f"{place}: {error}") from error

    def call(self, operation: str, **parameters: Any) -> Any:
        """One call, which blocks for at most ATTEMPTS times the timeouts.

        Raises:
            StoreUnavailable: nothing was written, or the answer was lost. Conflict: the condition was not met.
            ClientError: the call itself is wrong.
        """
        for made in (False, True):
            try:
                return getattr(self.client, operation)(**parameters)
            except ClientError as error:
                code = _code(error)
                if code == "ConditionalCheckFailedException":
                    found: Any = error.response
                    raise Conflict(plain_item(found.get("Item", {}))) from None
                if code == MISSING and self.place.creates and not made:
                    self._create()
                    continue
                if code in WRONG:
                    raise
                if is_credentials(error):
                    self._look_for_new_credentials()
                raise StoreUnavailable(f"{self.place}: {operation}: {error}") from error
            except ParamValidationError:
                raise
            except (BotoCoreError, OSError) as error:
                raise StoreUnavailable(f"{self.place}: {operation}: {error}") from error
        raise AssertionError  # the second round returns or raises

    def _create(self) -> None:
        try:
            self.client.create_table(**table(self.place.table))
        except ClientError as error:
            if _code(error) != "ResourceInUseException":  # another process was first
                raise StoreUnavailable(f"{self.place}: the table cannot be made: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{self.place}: the table cannot be made: {error}") from error

    def _look_for_new_credentials(self) -> None:
        with self._lock:
            if time.monotonic() - self._made_at > RENEW_CREDENTIALS_SECONDS:
                self._client = None

    def check(self) -> list[str]:
        """See ItemTable."""
        try:
            return differences(self.call("describe_table", TableName=self.place.table)["Table"])
        except StoreUnavailable as error:
            if _code(error.__cause__) == MISSING:
                return ["it does not exist"]
            raise

    def _each(self, function: Callable[[T], R], things: Sequence[T]) -> list[R]:
        """The function of each thing, at the same time as far as there are threads, in the things' order."""
        if len(things) < 2:
            return [function(thing) for thing in things]
        self.client  # noqa: B018 - after a fork, threads are made anew
        return list(self._threads.map(function, things))

    def get(self, keys: Iterable[Key], *attributes: str, lagging: bool = False) -> dict[Key, Item]:
        """See ItemTable. 100 a call."""
        found: dict[Key, Item] = {}
        wanted = list(dict.fromkeys(keys))
        options: dict[str, Any] = {"ConsistentRead": not lagging}
        if attributes:
            options["ExpressionAttributeNames"] = {f"#n{n}": name for n, name in enumerate((ID, PART, *attributes))}
            options["ProjectionExpression"] = ", ".join(options["ExpressionAttributeNames"])
        if len(wanted) == 1:
            answer = self.call("get_item", TableName=self.place.table, Key=_key(wanted[0]), **options)
            return {wanted[0]: plain_item(answer["Item"])} if "Item" in answer else {}
        for part in _parts(wanted, MAX_GETS):
            left: dict[str, Any] = {self.place.table: {"Keys": [_key(key) for key in part], **options}}
            for answer in self._until_done("batch_get_item", "UnprocessedKeys", left):
                for item in answer.get("Responses", {}).get(self.place.table, ()):
                    read = plain_item(item)
                    found[key_of(read)] = read
        return found

    def put(self, items: Sequence[Item]) -> None:
        """See ItemTable. 25 a call."""
        if len(items) == 1:
            self.call("put_item", TableName=self.place.table, Item=typed_item(items[0]))
        else:
            self._write([{"PutRequest": {"Item": typed_item(item)}} for item in items])

    def delete(self, keys: Sequence[Key]) -> None:
        """See ItemTable. 25 a call."""
        self._write([{"DeleteRequest": {"Key": _key(key)}} for key in keys])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for part in _parts(requests, MAX_WRITES):
            for _ in self._until_done("batch_write_item", "UnprocessedItems", {self.place.table: list(part)}):
                pass

    def _until_done(self, operation: str, unprocessed: str, left: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Repeat a batch with what DynamoDB has left of it, which is how it throttles a part."""
        for number in range(1, BATCH_TRIES + 1):
            answer = self.call(operation, RequestItems=left)
            yield answer
            left = answer.get(unprocessed) or {}
            if not left:
                return
            time.sleep(full_jitter(number, base_seconds=0.05, cap_seconds=2.0))
        raise StoreUnavailable(f"{self.place}: {operation}: DynamoDB has left a part of it undone {BATCH_TRIES} times")

    def put_new(self, items: Sequence[Item]) -> None:
        """See ItemTable. A call an item, many at the same time, and nothing is read."""
        condition = {
            "ConditionExpression": "attribute_not_exists(#id) OR #ttl <= :now",
            "ExpressionAttributeNames": {"#id": ID, "#ttl": TTL},
            "ExpressionAttributeValues": {":now": typed(time.time())},
        }

        def put(item: Item) -> None:
            with suppress(Conflict):
                self.call("put_item", TableName=self.place.table, Item=typed_item(item), **condition)

        self._each(put, items)

    def update(self, updates: Sequence[tuple[Key, ItemUpdate]]) -> None:
        """See ItemTable. A call an item, many at the same time, and nothing is read."""

        def update(what: tuple[Key, ItemUpdate]) -> None:
            with suppress(Conflict):
                self._update(*what)

        self._each(update, updates)

    def _update(self, key: Key, change: ItemUpdate) -> None:
        self.call(
            "update_item",
            TableName=self.place.table,
            Key=_key(key),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **update_expressions(change),
        )

    def add(self, key: Key, numbers: Mapping[str, int], ttl: int) -> Item:
        """See ItemTable. One call."""
        words = {f"#n{place}": name for place, name in enumerate(numbers)}
        answer = self.call(
            "update_item",
            TableName=self.place.table,
            Key=_key(key),
            UpdateExpression=f"SET #ttl = :ttl ADD {', '.join(f'{word} :{word[1:]}' for word in words)}",
            ExpressionAttributeNames={"#ttl": TTL, **words},
            ExpressionAttributeValues={
                ":ttl": typed(ttl),
                **{f":{word[1:]}": typed(numbers[name]) for word, name in words.items()},
            },
            ReturnValues="ALL_NEW",
        )
        return plain_item(answer["Attributes"])

    def pop(self, key: Key) -> Item:
        """See ItemTable."""
        answer = self.call("delete_item", TableName=self.place.table, Key=_key(key), ReturnValues="ALL_OLD")
        return plain_item(answer.get("Attributes", {}))

    def revise(self, revisions: Sequence[tuple[Key, Decide]], *, expected: bool = False) -> list[Item]:
        """See ItemTable. Items at the same time, the revisions of one item one after the other.

        An item that is not `expected` is not read: `decide` is asked about one that is not there, and again about what
        the refused write tells of the one that is.
        """
        by_key: dict[Key, list[Decide]] = {}
        for key, decide in revisions:
            by_key.setdefault(key, []).append(decide)

        def revise(key: Key) -> Iterator[Item]:
            return iter([self._revise(key, decide, expected) for decide in by_key[key]])

        revised = dict(zip(by_key, self._each(revise, list(by_key)), strict=True))
        return [next(revised[key]) for key, _ in revisions]

    def _revise(self, key: Key, decide: Decide, expected: bool) -> Item:
        present = self.get([key]).get(key, {}) if expected else {}
        for number in range(REVISIONS):
            change = decide(present)
            if change is None:
                return present
            if change.beside is not None:
                self.put([change.beside])
            try:
                self._update(key, change)
            except Conflict as conflict:
                present = conflict.present
                if number > 1:
                    time.sleep(random.uniform(0, 0.01 * number))  # noqa: S311 - spreads load
            else:
                return change.applied(key, present)
        raise StoreUnavailable(f"{self.place}: others changed an item {REVISIONS} times")

    def query(self, query: Query, *, page: int | None = None) -> Iterator[Item]:
        """See ItemTable. A mebibyte a call, or `page` items."""
        parameters = {"TableName": self.place.table, **query_expressions(query), **({"Limit": page} if page else {})}
        for answer in self._pages(parameters):
            yield from map(plain_item, answer["Items"])

    def count(self, query: Query) -> int:
        """See ItemTable."""
        parameters = {"TableName": self.place.table, **query_expressions(query), "Select": "COUNT"}
        return sum(int(answer["Count"]) for answer in self._pages(parameters))

    def _pages(self, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            answer = self.call("query", **parameters, **start)
            yield answer
            if not answer.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _code(error: BaseException | None) -> str:
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def _parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _key(key: Key) -> dict[str, dict[str, Any]]:
    return {ID: typed(key[0]), PART: typed(key[1])}
