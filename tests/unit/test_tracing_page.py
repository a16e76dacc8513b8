"""docs/tracing.md names what there is, and nobody imports OpenTelemetry who does not trace."""

import re
from pathlib import Path

from celery_inference.client.tracing import semantic_names as v
from tests.unit.test_light_imports import imported_by

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")


def test_every_attribute_is_documented() -> None:
    table = DOCUMENT.partition("## Attributes")[2]
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE)
        for name in re.findall(r"`([\w.]+)`", row)
    }
    assert named == set(v.ATTRIBUTES)


def test_every_span_is_documented() -> None:
    tree = DOCUMENT.partition("## Spans")[2].split("```")[1]
    for name in (v.SEND, v.WAIT, v.PROCESS, v.REDEEM, v.WAIT_FOR_BATCH, v.BATCH, *v.STEPS, v.STORE):
        assert re.search(rf"^[├─└│ ]*{name}\b", tree, flags=re.MULTILINE), name


def test_nobody_imports_opentelemetry_who_does_not_trace() -> None:
    loaded = imported_by("import tasks, tasks.worker.pool, tasks.worker.lifecycle, tasks.tracing.export")
    assert not [name for name in loaded if name.startswith("opentelemetry")]
