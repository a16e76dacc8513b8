"""When a model has crashed so often that it should have a process of its own, and when it has behaved."""

from models.supervision.crash_history import QUIET_SECONDS, WINDOW_SECONDS, CrashHistory


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_second_death_within_the_window_is_one_too_many() -> None:
    clock = Clock()
    history = CrashHistory(clock)
    assert (history.crashes("m"), history.behaves("m")) == (False, True)
    assert history.record_death({"m"}) == "m"
    assert not history.crashes("m")
    clock.now += WINDOW_SECONDS - 1
    history.record_death({"m"})
    assert history.crashes("m")
    assert not history.crashes("other")


def test_deaths_far_apart_are_accidents() -> None:
    clock = Clock()
    history = CrashHistory(clock)
    for _ in range(5):
        history.record_death({"m"})
        assert not history.crashes("m")
        clock.now += WINDOW_SECONDS


def test_an_hour_without_a_death_is_good_behaviour_and_each_death_begins_it_anew() -> None:
    clock = Clock()
    history = CrashHistory(clock)
    history.record_death({"m"})
    clock.now += QUIET_SECONDS - 1
    assert not history.behaves("m")
    history.record_death({"m"})
    clock.now += QUIET_SECONDS - 1
    assert not history.behaves("m")
    clock.now += 1
    assert history.behaves("m")


def test_of_several_models_none_is_guilty_and_a_death_of_none_is_nobodys() -> None:
    history = CrashHistory()
    for _ in range(3):
        assert history.record_death({"m", "other"}) is None
        assert history.record_death(()) is None
    assert not history.crashes("m")
