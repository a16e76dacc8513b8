"""The declared lanes."""

import re
from pathlib import Path

import pytest

from celery_inference.errors import LanesError
from celery_inference.sqs import limits
from celery_inference.sqs.lanes import LANES, UnknownLaneError, declared, lane_named, lane_of, load_lanes
from celery_inference.sqs.options import TransportOptions
from celery_inference.sqs.queues.urls import queue_name
from tests.support.lanes import GENERAL, INFERENCE


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


def written(folder: Path, text: str) -> Path:
    path = folder / "lanes.toml"
    path.write_text(text)
    return path


def test_a_file_says_what_lanes_there_are(tmp_path: Path) -> None:
    of_main = "[main]\ndefault = true\nretention_seconds = 3600\nmax_receive_count = 7\n"
    main, slow = load_lanes(written(tmp_path, f"{of_main}[slow]\nweight = 0.5\n"))
    assert (main.name, main.queue.retention_seconds, main.max_receive_count) == ("main", 3600, 7)
    assert (slow.name, slow.weight, slow.dead_letter_queue.name) == ("slow", 0.5, "slow-dlq")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one lane must say default = true"),
        ("[a]\n", "one lane must say default = true"),
        ("[a]\ndefault = true\n[b]\ndefault = true\n", "one lane must say default = true"),
        ("[a]\ndefault = true\nown_slots = 1\n", "it can have no own_slots"),
        ("[a]\ndefault = true\nwieght = 2\n", r'\[a\] wieght is not known. Did you mean "weight"\?'),
        ("[a]\ndefault = 1\n", "must be true or false, not 1"),
        ("[a]\ndefault = true\nown_slots = true\n", "must be a whole number, not True"),
        ("[a]\ndefault = true\nweight = 'much'\n", "must be a number, not 'much'"),
        ("[a]\ndefault = true\nweight = nan\n", "weight is nan; allowed are 0.001 to 1,000"),
        ("[a]\ndefault = true\nmax_receive_count = 0\n", "allowed are 1 to 1,000"),
        ("[a]\ndefault = true\nconsumer = 'nobody'\n", "it must be worker or lambda"),
        ("['a b']\ndefault = true\n", "letters, digits, hyphens and underscores"),
        (f"[{'x' * 77}]\ndefault = true\n", "1 to 76 letters"),
        ("default = true\n", "stands outside of any lane"),
        ("[a\n", "lanes.toml"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LanesError, match=said) as caught:
        load_lanes(written(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path))


def test_a_prefix_names_the_queues_and_not_the_lanes() -> None:
    staging = declared("inference", prefix="staging-", default=True)
    assert (staging.name, staging.dead_letter_name) == ("inference", "inference-dlq")
    assert (staging.queue.name, staging.dead_letter_queue.name) == ("staging-inference", "staging-inference-dlq")
    for name in ("inference", "staging-inference", "inference-dlq", "staging-inference-dlq"):
        assert lane_of(name, (staging,)) is staging
    options = TransportOptions(lanes=(staging,), queue_prefix="staging-")
    names = [queue_name(options, name) for name in ("inference", "inference-dlq", "elsewhere", "staging-inference")]
    assert names == ["staging-inference", "staging-inference-dlq", "staging-elsewhere", "staging-inference"]


def test_a_fifo_lane_has_a_fifo_queue_for_its_dead_letters() -> None:
    lane = declared("orders.fifo", prefix="a-")
    assert (lane.queue.name, lane.dead_letter_queue.name) == ("a-orders.fifo", "a-orders-dlq.fifo")
