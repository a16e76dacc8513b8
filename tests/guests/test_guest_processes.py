"""Senders that fork, and senders under gevent."""

import pytest

from tests.support.guests import Guest

FORKS = """
import json, os
from celery_inference import feature_extraction

before = feature_extraction.delay("before")
reading, writing = os.pipe()
child = os.fork()
if not child:
    result = feature_extraction.delay("in the child")
    os.write(writing, json.dumps([result.id, result.get(timeout=60), before.get(timeout=60)]).encode())
    os._exit(0)
os.close(writing)
after = feature_extraction.delay("in the parent")
mine = [after.id, after.get(timeout=60), before.get(timeout=60)]
with os.fdopen(reading) as pipe:
    said = pipe.read()
os.waitpid(child, 0)
print(json.dumps({"before": before.id, "parent": mine, "child": json.loads(said)}))
"""
GREENLETS = """
from gevent import monkey
monkey.patch_all()
import json
import gevent
from celery_inference import feature_extraction

def ask(number):
    result = feature_extraction.delay(f"text {number}")
    return [result.id, result.get(timeout=60)]

asking = [gevent.spawn(ask, number) for number in range(20)]
gevent.joinall(asking, raise_error=True)
print(json.dumps([greenlet.value for greenlet in asking]))
"""


@pytest.mark.usefixtures("answered")
def test_both_sides_of_a_fork_send_and_get_their_results(guest: Guest) -> None:
    found = guest.run(FORKS)
    first, parent, child = found["before"], found["parent"], found["child"]
    assert len({first, parent[0], child[0]}) == 3
    for own, result, earlier in (parent, child):
        assert (result, earlier) == (f"answer to {own}", f"answer to {first}")


@pytest.mark.usefixtures("answered")
def test_greenlets_send_and_get_their_results(guest: Guest) -> None:
    found = guest.run(GREENLETS)
    assert len({own for own, _ in found}) == 20
    assert all(result == f"answer to {own}" for own, result in found)
