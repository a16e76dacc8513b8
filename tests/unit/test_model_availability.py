"""A lane is taken out of service with the last of its models, and comes back with the first."""

from types import SimpleNamespace
from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from celery_inference.sqs.lanes import declared
from tasks.resilience.lane_pauses import LanePauses
from tasks.resilience.model_availability import ModelAvailability


class Consumer:
    """A worker's consumer, as far as lanes are concerned."""

    def __init__(self) -> None:
        lanes = (declared("inference", default=True), declared("slow"))
        self.app = SimpleNamespace(conf=SimpleNamespace(broker_transport_options={"lanes": lanes}))
        self.consuming = {"inference", "slow"}
        self.task_consumer = object()

    def call_soon(self, function: Any) -> None:
        function()

    def cancel_task_queue(self, queue: str) -> None:
        self.consuming.remove(queue)

    def add_task_queue(self, queue: str) -> None:
        self.consuming.add(queue)


def spec(name: str, lane: str | None = None) -> ModelSpec:
    return ModelSpec(name, "feature-extraction", "/" + name, lane=lane)


SPECS = [spec("a"), spec("b"), spec("c", "slow")]


def test_only_the_lane_without_a_model_goes_out_and_it_comes_back() -> None:
    service, consumer = ModelAvailability(), Consumer()
    service.use(LanePauses(consumer), consumer.app.conf, SPECS)
    service.record_outage("c", "it is broken")
    assert consumer.consuming == {"inference"}
    service.record_outage("a", "it is broken")
    assert consumer.consuming == {"inference"}
    service.record_outage("b", "it is broken")
    assert consumer.consuming == set()
    service.record_outage("a", "")
    service.record_outage("c", "")
    assert consumer.consuming == {"inference", "slow"}


def test_what_went_out_before_the_worker_was_ready_counts() -> None:
    service, consumer = ModelAvailability(), Consumer()
    service.record_outage("c", "it is broken")
    service.use(LanePauses(consumer), consumer.app.conf, SPECS)
    assert consumer.consuming == {"inference"}
