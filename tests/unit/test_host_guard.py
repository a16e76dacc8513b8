"""When a host is to be protected, and what the guard makes of a platform that fails; the clock is handed in."""

from tasks.hosts.guard import NOTICE_SECONDS, Guard
from tasks.hosts.host import QUIET_SECONDS, HostError, Shield


class Platform:
    """A platform that fails as often as it is told, and notes what it hears."""

    def __init__(self, failures: int = 0) -> None:
        self.protection_lasts_seconds: float | None = None
        self.failures, self.heard, self.says = failures, list[bool](), ""

    def protect(self, busy: bool) -> None:
        if self.failures:
            self.failures -= 1
            raise HostError("throttled")
        self.heard.append(busy)

    def notice(self) -> str | None:
        if self.failures:
            raise HostError("no answer")
        return self.says or None


def test_the_first_word_takes_back_what_a_killed_worker_left() -> None:
    assert Shield().wanted(0.0, busy=False) is False


def test_a_host_is_protected_from_its_first_delivery_until_it_was_quiet_for_a_while() -> None:
    shield = Shield()
    shield.said(0.0, False)
    assert shield.wanted(5.0, busy=False) is None
    assert shield.wanted(10.0, busy=True) is True
    shield.said(10.0, True)
    assert shield.wanted(11.0, busy=True) is None
    assert shield.wanted(11.0 + QUIET_SECONDS - 1, busy=False) is None
    assert shield.wanted(11.0 + QUIET_SECONDS, busy=False) is False


def test_a_protection_that_fades_is_said_again_at_half_of_its_life_while_it_is_needed() -> None:
    shield = Shield(lasts_seconds=100.0)
    shield.said(0.0, True)
    assert shield.wanted(49.0, busy=True) is None
    assert shield.wanted(50.0, busy=True) is True
    shield.said(50.0, True)
    assert shield.wanted(50.0 + QUIET_SECONDS, busy=False) is False


def test_what_the_platform_did_not_hear_is_said_again() -> None:
    platform = Platform(failures=2)  # a notice that is not answered does not count one down
    guard = Guard(platform, lambda: True, lambda _: None)
    guard.round(0.0)
    guard.round(1.0)  # too early
    assert platform.failures == 1
    guard.round(NOTICE_SECONDS)
    guard.round(2 * NOTICE_SECONDS)
    assert platform.heard == [True]


def test_a_notice_is_heard_once() -> None:
    platform, left = Platform(), list[str]()
    guard = Guard(platform, lambda: False, left.append)
    guard.round(0.0)
    platform.says = "it goes"
    guard.round(NOTICE_SECONDS - 1)
    assert left == []
    guard.round(NOTICE_SECONDS)
    guard.round(3 * NOTICE_SECONDS)
    assert left == ["it goes"]
