"""Bad configuration is one sentence, before anything is declared."""

from typing import Any

import pytest

from deploy.infra.settings import StackSettingError, read
from tests.support.recorded_stack import FLEET, FUNCTION, record


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"queues": {"retention_seconds": "1 day"}}, ["queues.retention_seconds", "'1 day'", "integer"]),
        ({"queues": {"retention_seconds": True}}, ["queues.retention_seconds", "integer"]),
        ({"queues": {"retention_seconds": 30}}, ["queues.retention_seconds", "30", "greater than or equal to 60"]),
        ({"queues": {"delay_seconds": 901}}, ["queues.delay_seconds", "901", "less than or equal to 900"]),
        ({"queues": {"max_receive_count": 0}}, ["queues.max_receive_count"]),
        ({"queues": {"kms_key_arn": "my key"}}, ["queues.kms_key_arn", "'my key'"]),
        ({"queues": {"visibility_timeout_seconds": 10}}, ["visibility_timeout_seconds is 10", "time_limit_seconds"]),
        (
            {"queues": {"dead_letter_retention_seconds": 86_400}},
            ["dead_letter_retention_seconds is 86400", "retention_seconds (86400)"],
        ),
        ({"queues": {"queue_prefix": "a b"}}, ["queues.queue_prefix", "'a b'"]),
        ({"queues": {"lanes": "/nowhere.toml"}}, ["celery-inference:queues", "/nowhere.toml"]),
        ({"queues": {"retention_second": 60}}, ["queues.retention_second", "did you mean retention_seconds?"]),
        ({"fleat": {}}, ["fleat", "did you mean fleet?"]),
        ({"queues": 5}, ["queues", "5"]),
        ({"endpoints": ["my model"]}, ["endpoints.0", "'my model'"]),
        ({"fleet": {}}, ["fleet.ami_id", "missing"]),
        ({"fleet": FLEET | {"ami_id": "latest"}}, ["fleet.ami_id", "'latest'"]),
        ({"fleet": FLEET | {"worker_image": "celery-inference:latest"}}, ["fleet.worker_image", "latest"]),
        ({"fleet": FLEET | {"subnet_ids": []}}, ["fleet.subnet_ids"]),
        ({"fleet": FLEET | {"spot_percent": 101}}, ["fleet.spot_percent", "101"]),
        ({"fleet": FLEET | {"max_workers": 2, "on_demand_base": 3}}, ["on_demand_base is 3", "max_workers (2)"]),
        ({"lambda": {"image": "x", "timeout_seconds": 60}}, ["lambda.image", "'x'"]),
        ({"lambda": FUNCTION | {"timeout_seconds": 901}}, ["lambda.timeout_seconds", "901"]),
        ({"lambda": FUNCTION | {"max_receive_count": 3}}, ["lambda.max_receive_count", "3"]),
        (
            {"lambda": FUNCTION | {"batch_size": 50, "batch_window_seconds": 0}},
            ["batch_size is 50", "batch_window_seconds 0"],
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(StackSettingError) as caught:
        read(values)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("celery-inference:")
    for word in words:
        assert word in sentence


def test_the_program_declares_nothing_with_a_wrong_value() -> None:
    with pytest.raises(StackSettingError, match=r"did you mean queues\?"):
        record({"queue": {}})


def test_nothing_needs_to_be_set() -> None:
    settings = read({})
    assert (settings.fleet, settings.aws_lambda) == (None, None)
    assert settings.queues.max_receive_count is None


def test_a_fleet_knows_the_backlog_that_one_worker_is_for() -> None:
    settings = read({"fleet": FLEET | {"requests_per_second_per_worker": 25, "target_wait_seconds": 40}})
    assert settings.fleet is not None
    assert settings.fleet.backlog_per_worker == 1_000
