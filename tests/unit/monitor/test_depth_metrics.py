"""`/metrics` tells what the page tells, by the documented names."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.metric_names import VOCABULARY
from monitor.metrics import DepthCollector
from monitor.queues.report import DepthReporter
from tests.support.lanes import INFERENCE

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def scraped(*depths: Depth, fault: Exception | None = None) -> str:
    def read(lane: Lane) -> tuple[Depth, ...]:
        if fault:
            raise fault
        return depths

    reporter = DepthReporter([INFERENCE], read)
    reporter.watch.read_once()
    registry = CollectorRegistry()
    registry.register(DepthCollector(reporter.report))
    return generate_latest(registry).decode()


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


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    documented = [(name.strip("`"), labels.replace("`", ""), meaning) for name, _, labels, meaning in rows]
    assert documented == [(metric.name, ", ".join(metric.labels), metric.meaning) for metric in VOCABULARY]


def test_nothing_outside_the_vocabulary_is_scraped() -> None:
    text = scraped(queue(40), dead_letters(3))
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names <= {metric.name for metric in VOCABULARY}
    assert "celery_inference_lane_dead_letters" in names
