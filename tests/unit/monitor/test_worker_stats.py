"""Rates from the totals that workers tell, and nothing that a hostile event could break."""

from typing import Any

from celery_inference.metrics import table
from celery_inference.metrics.exposition import Exposition
from monitor.metrics import worker_samples
from monitor.workers.device_rows import device_rows
from monitor.workers.stats import AGES_SECONDS, FORGOTTEN_SECONDS, WorkerStats


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def event(rows: float, *, batches: float = 0, worker: str = "w@host", pid: int = 7, **more: Any) -> dict[str, Any]:
    totals = {
        "rows": rows,
        "batches": batches or rows / 8,
        "tokens": rows * 10,
        "padded_tokens": rows * 16,
        "forward_seconds": rows / 100,
        "waits": rows,
        "wait_seconds": rows / 2,
    }
    device = {
        "state": "ready",
        "restarts": 2,
        "memory": {"process": 1_500, "allocated": 900},
        "model_memory": {"small": {"weights_bytes": 700, "peak_bytes": 800}},
        "memory_limits": {"small": [[64, 2048], [512, 4096]]},
    }
    fields: dict[str, Any] = {"models": {"small": totals}, "devices": {"cuda:0": device}}
    return {
        "hostname": worker,
        "pid": pid,
        **fields,
        "received": {"inference": 4.5},
        "batch_sizes": {"small": 16},
        "dead_letters": {"inference": {"crash": 3, "of-tomorrow": 1}},
    } | more


def scraped(stats: WorkerStats) -> str:
    return Exposition("flower", lambda: worker_samples(stats)).text().decode()


def test_figures_of_a_row_are_those_since_the_heartbeat_before() -> None:
    clock = Clock()
    stats = WorkerStats(clock)
    stats.take("stats", event(100))
    clock.now += 60
    stats.take("stats", event(700))
    (row,) = stats.rows()
    assert (row.worker, row.model, row.inputs) == ("w@host", "small", 600)
    assert row.inputs_a_second == 10.0
    assert (row.batch_inputs, row.fill) == (8.0, 0.5)
    assert row.padded_share == 1 - 10 / 16
    assert row.wait_seconds == 0.5
    assert row.forward_seconds is not None
    assert round(row.forward_seconds, 3) == 0.08


def test_dead_letters_are_told_by_cause_and_by_whose_fault_they_are() -> None:
    stats = WorkerStats(Clock())
    stats.take("stats", event(1))
    text = scraped(stats)
    name, labels = "celery_inference_dead_letters_total", 'lane="inference",worker="w@host"'
    assert f'{name}{{cause="crash",fault="model",{labels}}} 3.0' in text
    assert f'{name}{{cause="of-tomorrow",fault="deployment",{labels}}} 1.0' in text


def test_a_worker_that_started_anew_begins_anew() -> None:
    clock = Clock()
    stats = WorkerStats(clock)
    stats.take("stats", event(700))
    clock.now += 60
    stats.take("stats", event(8, pid=8))
    (row,) = stats.rows()
    assert (row.inputs, row.inputs_a_second) == (8, None)


def test_a_silent_worker_is_left_out_and_ages_are_forgotten() -> None:
    clock = Clock()
    stats = WorkerStats(clock)
    stats.take("stats", event(1))
    assert stats.reported_ages() == {"inference": 4.5}
    clock.now += AGES_SECONDS + 1
    assert stats.reported_ages() == {}
    clock.now += FORGOTTEN_SECONDS
    assert stats.rows() == []


def test_a_model_that_has_done_nothing_has_no_figures() -> None:
    stats = WorkerStats()
    stats.take("stats", event(0, models={"small": {}}))
    (row,) = stats.rows()
    assert (row.inputs, row.batch_inputs, row.fill, row.padded_share, row.wait_seconds) == (0, None, None, None, None)


def test_totals_are_scraped_by_the_names_of_the_vocabulary() -> None:
    stats = WorkerStats()
    stats.take("stats", event(80))
    text = scraped(stats)
    assert 'celery_inference_inputs_total{model="small",worker="w@host"} 80.0' in text
    assert 'celery_inference_device_restarts_total{device="cuda:0",worker="w@host"} 2.0' in text
    assert 'celery_inference_lane_received_age_seconds{lane="inference"} 4.5' in text
    assert 'celery_inference_device_memory_bytes{device="cuda:0",kind="process",worker="w@host"} 1500.0' in text
    assert (
        'celery_inference_model_memory_bytes{device="cuda:0",kind="peak",model="small",worker="w@host"} 800.0' in text
    )
    labels = 'device="cuda:0",least_tokens="512",model="small",worker="w@host"'
    assert f"celery_inference_model_memory_limit_tokens{{{labels}}} 4096.0" in text
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names <= {metric.name for metric in table.served_by("flower")}


def test_events_that_are_none_are_left_out() -> None:
    stats = WorkerStats()
    for broken in (
        {},
        {"hostname": "w"},
        event(1, models=5),
        event(1, pid="x"),
        event(1, models={"m": 5}),
        event(1, devices={"d": "x"}),
    ):
        stats.take("stats", broken)
    assert stats.rows() == []


def test_hostile_values_neither_break_the_metrics_nor_are_numbers() -> None:
    stats = WorkerStats()
    totals = {"rows": float("inf"), "batches": float("nan"), "tokens": "5", "waits": True}
    facts = {
        "memory": {"process": "x", "\ud800": 1},
        "model_memory": {"m": 5},
        "memory_limits": {"m": [[1], "xy", [1, "2"]]},
    }
    devices = {"\ud800": {"restarts": "<script>", "state": "\ud800", **facts}, "d": {"memory": 5, "memory_limits": 7}}
    stats.take(
        "stats",
        event(1, models={"\udfff<b>": totals}, devices=devices, received={"x": "y"}, dead_letters={"l": {"c": "x"}}),
    )
    (row,) = stats.rows()
    assert row.inputs == 0
    assert scraped(stats) == ""
    stats.take("stats", event(1, models={"\udfff<b>": {**totals, "rows": 5}}, devices=devices))
    assert 'celery_inference_inputs_total{model="?<b>",worker="w@host"} 5.0' in scraped(stats)


def test_a_model_that_is_kept_apart_is_said_to_be_so() -> None:
    stats = WorkerStats()
    devices = {"cpu": {"state": "ready"}, "cpu/m": {"state": "ready", "isolated": "m crashed\ud800"}}
    stats.take("stats", event(1, devices=devices))
    assert [row.isolated for row in device_rows(stats.latest())] == ["", "m crashed?"]


def test_ages_are_those_of_the_last_word_of_each_worker() -> None:
    clock = Clock()
    stats = WorkerStats(clock)
    stats.take("ages", {"hostname": "a", "received": {"inference": 3.0}, "held": {"inference": 9.0, "bulk": 1.0}})
    stats.take("ages", {"hostname": "b", "received": {"inference": 5.0}, "held": {}})
    assert stats.reported_ages() == {"inference": 9.0, "bulk": 1.0}
    assert stats.held_ages() == {"inference": 9.0, "bulk": 1.0}
    stats.take("ages", {"hostname": "a", "received": {}, "held": {"inference": 2.0}})
    assert stats.reported_ages() == {"inference": 5.0}
    assert stats.held_ages() == {"inference": 2.0}
    clock.now += AGES_SECONDS + 1
    assert stats.held_ages() == {}
    assert stats.rows() == [], "ages are no figures of models"
