"""A second Celery application in the process, with Celery's variables set for it."""

from typing import Any

import pytest

from tests.support.guests import Guest

CELERYS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
ELSEWHERE = "redis://elsewhere.invalid:6379/3"
BOTH = """
import json, os
{imports}

both = {{}}
for name, app in (("ours", ours), ("theirs", theirs)):
    conf = app.conf
    both[name] = [conf.broker_url, conf.broker_read_url, conf.broker_write_url, conf.result_backend]
    both[name] += [app.connection_for_read().as_uri(), app.connection_for_write().as_uri()]
print(json.dumps(both))
"""
LIBRARY = "from celery_inference import app as ours, feature_extraction"
OTHER = "from celery import Celery; theirs = Celery('shop', set_as_current={current})"
CANVAS = """
import json
from celery import Celery, chain, chord, group
from celery_inference import app as ours_app, feature_extraction as ours
from celery_inference.errors import InferenceError

shop = Celery("shop", broker="memory://", backend="cache+memory://")
shop.conf.update(task_serializer={serializer!r}, accept_content=["json", "pickle", "yaml"])

@shop.task
def theirs(*_):
    return "theirs"

channel = shop.connection_for_read().default_channel
found = {{}}
for name, canvas in {{
    "alone": lambda: theirs.s(),
    "link": lambda: theirs.s().set(link=ours.s()),
    "second link": lambda: theirs.s().set(link=[theirs.s(), ours.s()]),
    "link of a link": lambda: theirs.s().set(link=theirs.s().set(link=ours.s())),
    "link_error": lambda: theirs.s().on_error(ours.si("hello")),
    "chain": lambda: chain(theirs.s(), ours.s()),
    "chain with options": lambda: chain(theirs.s(), ours.s().set(countdown=5).clone(kwargs={{"model": None}})),
    "last of three": lambda: theirs.s() | theirs.s() | ours.s(),
    "middle of three": lambda: theirs.s() | ours.s() | theirs.s(),
    "group at a chain's end": lambda: chain(theirs.s(), group(theirs.s(), ours.s())),
    "chunks at a chain's end": lambda: chain(theirs.si(), ours.chunks([("hello",)], 1)),
    "chord's body": lambda: chord([theirs.s(), theirs.s()], ours.s()),
    "an argument": lambda: theirs.s(ours.s()),
    "chain that begins with ours": lambda: chain(ours.s("hello"), theirs.s()),
    "ours with a link": lambda: ours.s("hello").set(link=theirs.s()),
    "ours with a group": lambda: chain(ours.s("hello"), group(theirs.s(), theirs.s())),
    "chord of ours": lambda: chord([ours.s("hello"), ours.s("hello")], theirs.s()),
    "group": lambda: group(theirs.s(), ours.s("hello")),
    "chord's header": lambda: chord([theirs.s(), ours.s("hello")], theirs.s()),
}}.items():
    channel._purge("celery")
    try:
        canvas().delay()
        raised = None
    except Exception as error:
        raised = [isinstance(error, InferenceError), str(error)]
    found[name] = [raised, channel._size("celery")]
print(json.dumps(found))
"""
# Their own tasks that stand before ours were sent already, by Celery, which asks one after the other.
SENT_BEFORE = {"group": 1, "chord's header": 1}
OWN = """
import json
from celery import chain, chord, group
from celery_inference import feature_extraction as ours

ours.apply_async(("hello",), link=ours.s(), link_error=ours.si("hello"))
(ours.s("hello") | ours.s() | group(ours.s(), ours.s())).delay()
group(ours.s("hello"), ours.si("hello")).delay()
chord([ours.s("hello"), ours.s("hello")], ours.s()).delay()
ours.chunks([("hello",)], 1).delay()
print(json.dumps("sent"))
"""


def both(guest: Guest, order: tuple[str, str], **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = guest.run(BOTH.format(imports="\n".join(order)), **environment)
    return found


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_celery_s_variables_are_the_other_application_s(guest: Guest, first: str, current: bool) -> None:
    variables = dict.fromkeys(CELERYS, ELSEWHERE) | {"CELERY_RESULT_BACKEND": "redis://elsewhere.invalid:6379/4"}
    order = (LIBRARY, OTHER.format(current=current))
    found = both(guest, order if first == "ours" else order[::-1], **variables)
    broker = guest.environment["CELERY_INFERENCE_BROKER_URL"]
    assert found["ours"][:3] == [broker, broker, broker]
    assert found["ours"][3] == f"sqlite:///{guest.folder}/state/results.sqlite"
    assert not any("elsewhere" in uri for uri in found["ours"][4:])
    assert found["theirs"][:4] == [ELSEWHERE] * 3 + [variables["CELERY_RESULT_BACKEND"]]
    assert all(uri.endswith("@elsewhere.invalid:6379/3") for uri in found["theirs"][4:])


@pytest.mark.usefixtures("answered")
def test_both_applications_send_through_their_own_brokers(guest: Guest) -> None:
    program = """
import json
from celery import Celery
from celery_inference import app as ours, feature_extraction

theirs = Celery("shop")

@theirs.task
def add(left, right):
    return left + right

result = feature_extraction.delay("hello")
add.delay(1, 2)
size = theirs.connection_for_read().default_channel._size("celery")
print(json.dumps([size, type(add.backend).__name__, result.get(timeout=60) == f"answer to {result.id}"]))
"""
    variables = dict.fromkeys(CELERYS, "memory://") | {"CELERY_RESULT_BACKEND": "cache+memory://"}
    assert guest.run(program, **variables) == [1, "CacheBackend", True]
    assert guest.sent() == []


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_canvas_across_both_is_refused_when_it_is_sent(guest: Guest, serializer: str) -> None:
    found = guest.run(CANVAS.format(serializer=serializer))
    assert found.pop("alone") == [None, 1]
    for name, (raised, published) in found.items():
        assert raised is not None, name
        ours, sentence = raised
        assert ours, (name, sentence)
        assert sentence.startswith("celery_inference.feature_extraction cannot be linked to"), name
        assert "\n" not in sentence
        assert published == SENT_BEFORE.get(name, 0), name
    assert guest.sent() == []


def test_a_group_that_begins_with_ours_and_mixes_sends_nothing(guest: Guest) -> None:
    program = """
import json
from celery import Celery, group
from celery_inference import feature_extraction as ours
from celery_inference.errors import InferenceError

shop = Celery("shop", broker="memory://")

@shop.task
def theirs():
    return "theirs"

try:
    group(ours.s("hello"), theirs.s()).delay()
    refused = False
except InferenceError:
    refused = True
print(json.dumps([refused, shop.connection_for_read().default_channel._size("celery")]))
"""
    assert guest.run(program) == [True, 0]
    assert guest.sent() == []


def test_our_own_canvases_are_sent(guest: Guest) -> None:
    assert guest.run(OWN) == "sent"
    assert len(guest.sent()) == 1 + 1 + 2 + 2 + 1
