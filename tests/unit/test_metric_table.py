"""The table of metrics: its own rules, its page, and a registry that is nobody else's."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from celery_inference.metrics import table
from celery_inference.metrics.exposition import Exposition

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.splitlines()
        if line.startswith("| `celery_inference_")
    ]
    documented = [(name.strip("`"), type_, labels.replace("`", ""), help_) for name, type_, labels, help_ in rows]
    of_flower = [
        (metric.name, metric.type, ", ".join(metric.labels_at("flower")), metric.help)
        for metric in table.served_by("flower")
    ]
    assert documented == of_flower
    for metric in table.served_by("worker"):
        assert f"`{metric.name}`" in DOCUMENT


def test_names_are_ours_unique_and_end_with_their_unit() -> None:
    names = [metric.name for metric in table.METRICS]
    assert len(set(names)) == len(names)
    for metric in table.METRICS:
        assert metric.name.startswith("celery_inference_")
        assert metric.served_by
        unit = f"_{metric.unit}" if metric.unit else ""
        assert metric.name.removesuffix("_total").endswith(unit)
        assert metric.type == "counter" or not metric.name.endswith("_total")
    assert table.MODEL_TOTALS["wait_seconds"].unit == "seconds"
    assert table.DEVICE_MEMORY.unit == "bytes"
    assert table.LANE_DEAD_LETTERS.unit is None


@pytest.mark.parametrize("server", ["flower", "worker"])
def test_what_a_process_serves_is_registered_with_no_one_else(server: table.Server) -> None:
    before = set(REGISTRY._names_to_collectors)
    metrics = table.served_by(server)
    served = Exposition(server, lambda: [(metric, metric.labels_at(server), 1.5) for metric in metrics])
    text = served.text().decode()
    for metric in metrics:
        labels = ",".join(f'{name}="{name}"' for name in sorted(metric.labels_at(server)))
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n" in text
        assert f"{metric.name}{{{labels}}} 1.5\n" in text
    assert set(REGISTRY._names_to_collectors) == before


def test_a_metric_that_the_process_does_not_serve_is_refused() -> None:
    with pytest.raises(KeyError):
        Exposition("worker", lambda: [(table.LANE_DRAIN, ("inference",), 1.0)]).text()
