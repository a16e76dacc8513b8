"""One table from error class to fate: whose fault it was, and what becomes of the request.

| error | fate |
|---|---|
| InvalidInput | the caller's fault: FAILURE and a dead letter at once, with the reason |
| DeviceCrash | this request, run alone, ends its device process: the same |
| Expired | its deadline passed before its work began: FAILURE, and no dead letter |
| any other | transient: RETRY, released with backoff, until its attempts are used up; then a dead letter |
"""

from enum import Enum

from models.errors import DeviceCrash, Expired, InvalidInput


class Fate(Enum):
    """What becomes of a request whose attempt ended in an error."""

    DEAD_LETTER = "dead letter"
    EXPIRED = "expired"
    TRANSIENT = "transient"


FATES: tuple[tuple[type[BaseException], Fate], ...] = (
    (InvalidInput, Fate.DEAD_LETTER),
    (DeviceCrash, Fate.DEAD_LETTER),
    (Expired, Fate.EXPIRED),
)


def fate_of(error: BaseException) -> Fate:
    """The fate of a request whose attempt ended with this error."""
    for kind, fate in FATES:
        if isinstance(error, kind):
            return fate
    return Fate.TRANSIENT
