"""What follows a request has ids that depend on the request alone."""

from typing import Any

from celery import Celery, chain, chord, group
from celery.app.task import Context

from tasks.execution.callbacks import name_children

app = Celery("links", set_as_current=False)


@app.task
def step(*_: Any) -> None:
    """Any task."""


def ids(signature: Any) -> list[str]:
    kwargs = signature["kwargs"]
    below = [*kwargs.get("tasks", ()), *kwargs.get("header", ()), *([kwargs["body"]] if "body" in kwargs else [])]
    return [signature["options"]["task_id"], *(found for part in below for found in ids(part))]


def named(task_id: str, generation: int = 0, kind: str = "callbacks") -> list[str]:
    links = [step.s(), group(step.s(), step.s()), chain(step.s(), step.s()), chord([step.s(), step.s()], step.s())]
    plain = [dict(link) for link in links]
    request = Context({"id": task_id, "inference_generation": generation, kind: plain})
    name_children(request)
    assert all("task_id" not in link["options"] for link in plain), "what the message says stays as it is"
    return [found for link in getattr(request, kind) for found in ids(link)]


def test_links_are_named_again_as_they_were_and_no_two_alike() -> None:
    found = named("one")
    assert found == named("one")
    assert len(found) == len(set(found)) == 1 + 3 + 3 + 4
    others = named("two"), named("one", generation=1), named("one", kind="errbacks")
    assert not set(found).intersection(*others)
    assert all(set(found).isdisjoint(other) for other in others)


def test_a_link_that_has_an_id_keeps_it() -> None:
    request = Context({"id": "one", "callbacks": [dict(step.s().set(task_id="mine"))]})
    name_children(request)
    assert ids(request.callbacks[0]) == ["mine"]
