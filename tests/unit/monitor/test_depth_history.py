"""Hours of depths in bounded memory, in which no peak vanishes."""

from celery_inference.sqs.queues.depths import Depth
from monitor.queues.history import COARSE_SAMPLES, FINE_SAMPLES, History


def depth(visible: int, queue: str = "inference", missing: bool = False) -> Depth:
    return Depth(queue, visible, 1, 0, dead_letter_queue=False, lane="inference", missing=missing)


def test_a_day_of_readings_stays_bounded() -> None:
    history = History()
    for round_ in range(24 * 720):
        history.add(round_ * 5.0, [depth(round_)])
    assert len(history.fine("inference")) == FINE_SAMPLES
    assert len(history.coarse("inference")) == COARSE_SAMPLES
    assert history.fine("inference")[-1].visible == 24 * 720 - 1


def test_a_peak_of_one_reading_is_seen_hours_later() -> None:
    history = History()
    for round_ in range(3 * 720):
        history.add(round_ * 5.0, [depth(900 if round_ == 100 else 3)])
    assert max(sample.visible for sample in history.fine("inference")) == 3
    assert [sample.visible for sample in history.coarse("inference") if sample.visible > 3] == [900]


def test_a_queue_that_was_deleted_is_forgotten() -> None:
    history = History()
    history.add(0.0, [depth(1), depth(2, "old")])
    history.add(5.0, [depth(1), depth(0, "old", missing=True)])
    assert len(history.fine("inference")) == 2
    assert history.fine("old") == ()
    assert history.coarse("never seen") == ()
