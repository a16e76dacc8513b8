"""Drain time: seconds until a lane is empty at the speed of the last minute."""

from collections.abc import Sequence

from monitor.queues.sample import Sample

_WINDOW_SECONDS = 60.0
# Fewer say nothing: SQS's counts are approximate and settle within seconds.
_MIN_SAMPLES = 4


def drain_seconds(samples: Sequence[Sample]) -> float | None:
    """Seconds until the queue is empty, 0 when it is, None when it is not draining or nobody can tell yet.

    The speed is the slope of all its messages since their latest peak within the window, by least squares:
    what came before the peak was another load. It is a net speed: messages that arrive meanwhile count.
    """
    if not samples:
        return None
    latest = samples[-1]
    if latest.messages == 0:
        return 0.0
    window = [sample for sample in samples if latest.at_seconds - sample.at_seconds <= _WINDOW_SECONDS]
    peak = max(range(len(window)), key=lambda index: (window[index].messages, index))
    falling = window[peak:]
    if len(falling) < _MIN_SAMPLES:
        return None
    messages_per_second = _slope(falling)
    return latest.messages / -messages_per_second if messages_per_second < 0 else None


def _slope(samples: Sequence[Sample]) -> float:
    mean_at = sum(sample.at_seconds for sample in samples) / len(samples)
    mean_messages = sum(sample.messages for sample in samples) / len(samples)
    spread = sum((sample.at_seconds - mean_at) ** 2 for sample in samples)
    if spread == 0:
        return 0.0
    together = sum((sample.at_seconds - mean_at) * (sample.messages - mean_messages) for sample in samples)
    return together / spread
