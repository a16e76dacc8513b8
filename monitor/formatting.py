"""How figures are said on pages: ages, spans and the state of a reading, in plain words."""

from collections.abc import Sequence


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit, rounded: `0 s`, `45 s`, `3 min`, `2 h`, `5 days`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86_400)} days"


def size(count: float | None) -> str:
    """Bytes in the largest fitting unit of thousands: `512 MB`, `1.4 GB`; a dash for None."""
    if count is None:
        return "—"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.0f} {unit}" if count >= 10 * factor else f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def drain(seconds: float | None) -> str | None:
    """A drain time, None when there is none to tell."""
    if seconds is None:
        return None
    return "empty" if seconds == 0 else f"about {span(seconds)}"


def freshness(age_seconds: float | None, stale_lanes: Sequence[str], lanes: int) -> str:
    """How old the oldest figures are, and which lanes cannot be read."""
    if age_seconds is None:
        return "Not read yet"
    if not stale_lanes:
        return f"Read {span(age_seconds)} ago"
    what = "SQS" if len(stale_lanes) == lanes else f"{len(stale_lanes)} of {lanes} lanes"
    return f"{what} cannot be read; figures are {span(age_seconds)} old"
