"""A host as its platform sees it, behind one small interface; and when it is to be protected."""

from typing import Protocol

QUIET_SECONDS = 60.0  # a host that is idle for less is asked again soon; each change is a call of a throttled API


class HostError(Exception):
    """The platform refused or did not answer; one sentence."""


class Host(Protocol):
    """Where this worker runs. Every call blocks, a few seconds at most, and raises HostError."""

    # After so many seconds the platform forgets a protection; None: never.
    protection_lasts_seconds: float | None

    def protect(self, busy: bool) -> None:
        """While `busy`, the platform shall rather end other hosts than this."""

    def notice(self) -> str | None:
        """When the platform is about to take this host away: one clause that says so."""


class Shield:
    """When to tell the platform, and what. Pure: the clock is handed in. One thread asks it.

    A host is protected from its first delivery on and let go when it has had none for QUIET_SECONDS. What its platform
    holds at the start is unknown, it may outlive a worker that was killed: so the first word is always said.
    """

    def __init__(self, lasts_seconds: float | None = None) -> None:
        self._lasts_seconds = lasts_seconds
        self._said: bool | None = None
        self._said_at = 0.0
        self._busy_at: float | None = None

    def wanted(self, now: float, *, busy: bool) -> bool | None:
        """What is to be said now; None: nothing."""
        if busy:
            self._busy_at = now
        protected = self._busy_at is not None and now - self._busy_at < QUIET_SECONDS
        if protected is not self._said:
            return protected
        # Said again at half of its life, so that one failed call does not end it.
        fading = self._lasts_seconds is not None and now - self._said_at >= self._lasts_seconds / 2
        return True if protected and fading else None

    def said(self, now: float, protected: bool) -> None:
        """The platform has heard it."""
        self._said, self._said_at = protected, now
