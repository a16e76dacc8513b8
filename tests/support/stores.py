"""The result stores that one suite runs against: SQLite, DynamoDB as moto serves it over HTTP, and a real Redis.

A test module imports the fixtures that it needs.
"""

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_inference.results.backend import StoreBackend
from celery_inference.results.dynamodb.backend import DynamoDBBackend
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.dead_letters.index import DeadLetterIndex
from tests.support.moto_dynamodb import MotoDynamoDB, moto_dynamodb

# The base install, whose lowest versions `make lowest` tests, has no redis-py.
STORES = ("sqlite", "dynamodb", *(("redis",) if find_spec("redis") else ()))
Make = Callable[..., Any]

_tables = itertools.count(1)


def app_of(name: str) -> Celery:
    app = Celery(name, set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"])
    return app


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoDynamoDB]:
    with moto_dynamodb() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from tests.support.redis_server import running_redis

    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes backends, as many processes would, of one and the same store."""
    kind: type[StoreBackend]
    if request.param == "sqlite":
        url, kind = f"sqlite:///{tmp_path / 'results.sqlite'}", SQLiteBackend
    elif request.param == "redis":
        from celery_inference.results.redis.backend import RedisBackend

        server = request.getfixturevalue("redis_server")
        server.client().flushall()
        url, kind = server.url, RedisBackend
    else:
        url, kind = request.getfixturevalue("moto").url(f"results-{next(_tables)}"), DynamoDBBackend

    def made(**options: Any) -> Any:
        return kind(url=url, **({"app": app_of("store-contract")} | options))

    return made


@pytest.fixture
def backend(make: Make) -> Any:
    return make()


@pytest.fixture
def store(backend: Any) -> ResultStore:
    found: ResultStore = backend.store
    return found


@pytest.fixture
def index(backend: Any) -> DeadLetterIndex:
    found: DeadLetterIndex = backend.dead_letters
    return found
