"""Queue names as bindings, and who in the ring watches over whom."""

from hypothesis import given
from hypothesis import strategies as st

from celery_inference.sqs import limits
from celery_inference.sqs.broadcast import queue_names
from celery_inference.sqs.broadcast.queue_gc import segment
from celery_inference.sqs.broadcast.queue_names import QueueKind


@given(st.text(min_size=1, max_size=100), st.sampled_from(QueueKind))
def test_a_name_tells_its_kind_and_its_owner_and_fits_into_sqs(worker: str, kind: QueueKind) -> None:
    prefix = "p" * queue_names.MAX_PREFIX_CHARACTERS
    name = queue_names.new_name(prefix, kind, worker)
    assert len(name) <= limits.MAX_QUEUE_NAME_CHARACTERS
    assert queue_names.queue_kind_of(prefix, name) is kind
    assert queue_names.owner_in(name) == queue_names.owner_of(worker)
    assert queue_names.new_name(prefix, kind, worker) != name


def test_other_queues_are_none_of_the_broadcast() -> None:
    for name in ("inference", "bc", "bc-control", "bc-control-short", "bc-work-" + "0" * 24, "bc-control-" + "g" * 24):
        assert queue_names.queue_kind_of("bc", name) is None, name
    inner = queue_names.new_name("bc-control", QueueKind.EVENTS)
    assert queue_names.queue_kind_of("bc", inner) is None, "a longer prefix is another broadcast"


def test_celery_s_queues_and_exchanges_are_told_by_their_names() -> None:
    queues = {
        "w@host.example.celery.pidbox": QueueKind.CONTROL,
        "0f9.reply.celery.pidbox": QueueKind.REPLY,
        "celeryev.0f9": QueueKind.EVENTS,
        "inference": None,
    }
    exchanges = {
        "celery.pidbox": QueueKind.CONTROL,
        "reply.celery.pidbox": QueueKind.REPLY,
        "celeryev": QueueKind.EVENTS,
        "": None,
        "celery": None,
    }
    assert {queue: queue_names.kind_of_queue(queue) for queue in queues} == queues
    assert {exchange: queue_names.kind_of_exchange(exchange) for exchange in exchanges} == exchanges


@given(st.integers(2, 30))
def test_every_queue_is_looked_at_by_the_member_after_it(count: int) -> None:
    members = [queue_names.new_name("bc", QueueKind.CONTROL, str(number)) for number in range(count)]
    replies = [queue_names.new_name("bc", QueueKind.REPLY) for _ in range(count)]
    looked_at: set[str] = set()
    for own in members:
        for name in segment(members + replies, own):
            looked_at.add(name)
            if name in members:
                break
    assert looked_at == {*members, *replies}


def test_a_lone_member_looks_at_all() -> None:
    own = queue_names.new_name("bc", QueueKind.CONTROL)
    others = [queue_names.new_name("bc", QueueKind.REPLY) for _ in range(5)]
    assert set(segment([own, *others], own)) == set(others)
