"""A lane that is halted for two reasons goes on when both are over."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tasks.resilience.lane_pauses import LanePauses


class Consumer:
    """What `LanePauses` needs of Celery's consumer; operations run at once."""

    def __init__(self) -> None:
        self.task_consumer: Any = object()
        self.consumed = {"work"}
        self.selected = {"work"}
        queues = SimpleNamespace(deselect=self.selected.discard, select_add=self.selected.add)
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=_Queues(queues)))

    def call_soon(self, operation: Callable[[], None]) -> None:
        operation()

    def cancel_task_queue(self, lane: str) -> None:
        self.consumed.discard(lane)

    def add_task_queue(self, lane: str) -> None:
        self.consumed.add(lane)


class _Queues:
    def __init__(self, operations: SimpleNamespace) -> None:
        self.deselect, self.select_add = operations.deselect, operations.select_add

    def __getitem__(self, name: str) -> str:
        return name


def test_a_lane_goes_on_when_the_last_reason_is_over() -> None:
    consumer = Consumer()
    pauses = LanePauses(consumer)
    for reason in ("models", "dead letters"):
        pauses.pause("work", reason)
    assert consumer.consumed == set()
    pauses.resume("work", "models")
    assert consumer.consumed == set()
    pauses.resume("work", "dead letters")
    assert consumer.consumed == {"work"}


def test_a_reason_that_holds_nothing_takes_nothing_up() -> None:
    consumer = Consumer()
    consumer.consumed.clear()  # as an operator's cancel_consumer left it
    LanePauses(consumer).resume("work", "models")
    assert consumer.consumed == set()


def test_between_two_connections_the_next_one_is_told() -> None:
    consumer = Consumer()
    consumer.task_consumer = None
    pauses = LanePauses(consumer)
    pauses.pause("work", "models")
    assert consumer.selected == set()
    pauses.resume("work", "models")
    assert consumer.selected == {"work"}
