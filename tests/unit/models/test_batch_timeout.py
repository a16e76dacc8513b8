"""How long a batch may take: by its tokens, once enough batches have been seen."""

from models.supervision.batch_timeout import BATCHES, LEAST_SECONDS, TIMES, BatchTimeout


def seen(tokens: int, seconds: float, batches: int = BATCHES) -> BatchTimeout:
    pace = BatchTimeout()
    for _ in range(batches):
        pace.record_batch(tokens, seconds)
    return pace


def test_until_enough_is_known_the_specs_limit_holds() -> None:
    assert BatchTimeout().limit_seconds(100, 120.0) == 120.0
    assert seen(100, 0.1, BATCHES - 1).limit_seconds(100, 120.0) == 120.0
    assert seen(0, 0.1).limit_seconds(100, 120.0) == 120.0


def test_more_tokens_may_take_longer_and_few_have_a_least() -> None:
    pace = seen(100, 1.0)
    assert pace.limit_seconds(400, 600.0) == TIMES * 4.0
    assert pace.limit_seconds(100, 600.0) == LEAST_SECONDS
    assert pace.limit_seconds(10_000, 600.0) == 600.0


def test_what_runs_alone_has_all_of_the_specs_time() -> None:
    assert seen(100, 1.0).limit_seconds(100, 600.0, alone=True) == 600.0


def test_a_limit_of_the_specs_that_is_shorter_stays() -> None:
    assert seen(100, 1.0).limit_seconds(400, 4.0) == 4.0
