"""Dashboard and rules against promtool and against the table of metrics."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from celery_inference.metrics import table

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana"
PROMTOOL = shutil.which("promtool")
METRICS = {metric.name: set(metric.labels_at("flower")) for metric in table.served_by("flower")}

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None and "CI" not in os.environ, reason="no promtool here: `make scanners` installs it"
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [PROMTOOL or "promtool", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return read


def of_dashboard() -> list[str]:
    """Its expressions, with Grafana's variables as the patterns that they become."""
    targets = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    return [re.sub(r"\$\w+", ".*", text) for text in targets]


def of_rules() -> list[str]:
    groups = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def strangers(expressions: list[str]) -> set[str]:
    """Names in PromQL that are neither a metric of ours, a label of one, nor a word of the language."""
    words = {"sum", "max", "by", "rate", "increase", "absent", "and", "m", "h"}
    known = {*METRICS, *words, *(label for labels in METRICS.values() for label in labels)}
    names = re.findall(r"[a-z_]+", " ".join(re.sub(r'"[^"]*"', "", text) for text in expressions))
    return set(names) - known


@needs_promtool
def test_prometheus_takes_configuration_and_rules() -> None:
    checked = promtool("check", "config", FOLDER / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_the_rules_fire_when_they_should_and_not_otherwise() -> None:
    tested = promtool("test", "rules", FOLDER / "rules_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_a_rule_that_never_fires_is_found(tmp_path: Path) -> None:
    for name in ("rules.yaml", "rules_test.yaml"):
        (tmp_path / name).write_text(
            (FOLDER / name).read_text().replace("expr: sum by (lane, fault)", "expr: 0 * sum by (lane, fault)")
        )
    assert promtool("test", "rules", tmp_path / "rules_test.yaml").returncode != 0


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"] for rule in group["rules"]]
    tests = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert {rule["alert"] for rule in rules} == fired
    page = (FOLDER.parents[1] / "docs" / "operations.md").read_text()
    for rule in rules:
        assert {"summary", "action"} <= set(rule["annotations"])
        assert rule["alert"] in page


@needs_promtool
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{index}", "expr": text} for index, text in enumerate(of_dashboard())]
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "panels.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (tmp_path / "panels.yaml").write_text(
        json.dumps({"groups": [{"name": "x", "rules": [{"record": "x", "expr": "sum("}]}]})
    )
    assert promtool("check", "rules", tmp_path / "panels.yaml").returncode != 0


def test_nothing_is_asked_for_that_nobody_measures() -> None:
    assert strangers(of_dashboard() + of_rules()) == set()
    assert strangers(["sum(lane_dead_lettres) by (lane)"]) == {"lane_dead_lettres"}


def test_every_metric_has_a_panel() -> None:
    shown = set(re.findall(r"[a-z_]+", " ".join(of_dashboard())))
    assert set(METRICS) - shown == set()


def test_labels_are_those_of_their_metric() -> None:
    for text in of_dashboard() + of_rules():
        for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", text):
            assert set(re.findall(r"([a-z_]+)\s*[=!]", selector)) <= METRICS[name], text


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
