"""A model that could not be loaded again is tried again, less and less often."""

from models.supervision.reload_backoff import LOAD_AFTER_SECONDS, ReloadBackoff


def test_each_failure_doubles_the_pause_up_to_a_bound() -> None:
    absent = ReloadBackoff(lambda: 0.0)
    assert [absent.fail("m", "broken") for _ in range(12)][:4] == [1.0, 2.0, 4.0, 8.0]
    assert absent.fail("m", "broken") == 300.0
    assert absent.because("m") == "broken"


def test_it_is_due_when_its_pause_is_over_and_not_before() -> None:
    now = [100.0]
    absent = ReloadBackoff(lambda: now[0])
    assert absent.wait_seconds() is None
    absent.fail("m", "broken")
    assert (absent.due(), absent.wait_seconds()) == (None, 1.0)
    now[0] = 101.5
    assert (absent.due(), absent.wait_seconds()) == ("m", 0.0)


def test_it_is_back_once() -> None:
    absent = ReloadBackoff()
    absent.fail("m", "broken")
    assert ("m" in absent, absent.back("m"), absent.back("m"), "m" in absent) == (True, True, False, False)


def test_what_is_only_deferred_is_due_at_once_and_overdue_when_no_moment_was_free() -> None:
    now = [100.0]
    absent = ReloadBackoff(lambda: now[0])
    absent.defer("m")
    assert (absent.due(), absent.failed("m"), "m" in absent, absent.overdue("m")) == ("m", False, True, False)
    now[0] += LOAD_AFTER_SECONDS
    assert absent.overdue("m")
    assert absent.fail("m", "broken") == 1.0
    absent.defer("m")
    assert (absent.due(), absent.failed("m")) == (None, True), "a failure keeps its pause"


def test_what_is_not_due_waits_for_the_next_word() -> None:
    absent = ReloadBackoff(lambda: 100.0)
    absent.defer("m", due=False)
    assert (absent.due(), absent.wait_seconds()) == (None, None)
    absent.defer("m")
    assert (absent.due(), absent.wait_seconds()) == ("m", 0.0)
