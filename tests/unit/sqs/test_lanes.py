"""The declared lanes."""

import re

import pytest

from celery_inference.sqs import limits
from celery_inference.sqs.lanes import GENERAL, INFERENCE, LANES, UnknownLaneError, lane_named, lane_of


def test_every_queue_has_a_name_of_its_own_that_sqs_takes() -> None:
    names = [queue.name for lane in LANES for queue in (lane.queue, lane.dead_letter_queue)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) for name in names)


def test_dead_letters_are_kept_longer_and_have_room_for_a_reason() -> None:
    for lane in LANES:
        assert lane.dead_letter_queue.retention_seconds == limits.MAX_RETENTION_SECONDS > lane.queue.retention_seconds
        assert lane.dead_letter_queue.max_message_bytes >= lane.queue.max_message_bytes + 4_096


def test_a_lane_is_found_by_its_name_and_by_each_of_its_queues() -> None:
    for lane in LANES:
        assert lane_named(lane.name) is lane
        assert lane_of(lane.name) is lane_of(lane.dead_letter_queue.name) is lane
    assert lane_of("elsewhere") is None


def test_a_misspelt_lane_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownLaneError, match="did you mean 'inference-bulk'"):
        lane_named("inference-bulky")
    with pytest.raises(UnknownLaneError, match="declared are inference, "):
        lane_named("xyz")


def test_only_what_is_not_inference_has_slots_of_its_own() -> None:
    assert [lane for lane in LANES if lane.own_slots] == [GENERAL]
    assert INFERENCE is LANES[0]
