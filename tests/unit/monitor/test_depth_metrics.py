"""`/metrics` tells what the page tells, by the documented names."""

import re

from celery_inference.metrics import table
from celery_inference.metrics.exposition import Exposition
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.metrics import depth_samples
from monitor.queues.report import DepthReporter
from tests.support.lanes import INFERENCE


def scraped(*depths: Depth, fault: Exception | None = None) -> str:
    def read(lane: Lane) -> tuple[Depth, ...]:
        if fault:
            raise fault
        return depths

    reporter = DepthReporter([INFERENCE], read)
    reporter.watch.read_once()
    return Exposition("flower", lambda: depth_samples(reporter.report())).text().decode()


def queue(visible: int, missing: bool = False) -> Depth:
    return Depth("inference", visible, 5, 2, False, "inference", missing)


def dead_letters(visible: int) -> Depth:
    return Depth("inference-dlq", visible, 1, 0, True, "inference")


def test_each_queue_and_state_is_a_series() -> None:
    text = scraped(queue(40), dead_letters(3))
    assert 'celery_inference_queue_messages{queue="inference",state="visible"} 40.0' in text
    assert 'celery_inference_queue_messages{queue="inference",state="in_flight"} 5.0' in text
    assert 'celery_inference_queue_messages{queue="inference",state="delayed"} 2.0' in text
    assert 'celery_inference_queue_messages{queue="inference-dlq",state="visible"} 3.0' in text
    assert 'celery_inference_lane_dead_letters{lane="inference"} 4.0' in text
    assert 'celery_inference_lane_depths_failed_rounds_total{lane="inference"} 0.0' in text
    (age,) = re.findall(r'celery_inference_lane_depths_age_seconds{lane="inference"} (.+)', text)
    assert 0 <= float(age) < 60


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    text = scraped(fault=ConnectionError("away"))
    assert "celery_inference_queue_messages{" not in text
    assert "celery_inference_lane_depths_age_seconds{" not in text
    assert 'celery_inference_lane_depths_failed_rounds_total{lane="inference"} 1.0' in text
    assert 'queue="inference"' not in scraped(queue(0, missing=True), dead_letters(3))


def test_nothing_outside_the_vocabulary_is_scraped() -> None:
    text = scraped(queue(40), dead_letters(3))
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names <= {metric.name for metric in table.served_by("flower")}
    assert "celery_inference_lane_dead_letters" in names
