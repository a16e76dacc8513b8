"""One table from error class to policy: whose fault it was, and what becomes of the request.

| error | policy | state | attempt counts | message |
|---|---|---|---|---|
| InvalidInput, its subclasses, a task's `throws` | INVALID: the caller's fault | FAILURE at once | | dead letter, or \
deleted on lanes with `invalid_input = "fail"` |
| DeviceCrash | CRASH: run alone, it ends its device process | FAILURE at once | | dead letter |
| Expired | EXPIRED: too late for it to begin | REVOKED, RequestExpired | | deleted |
| Cancelled | CANCELLED: somebody revoked it | REVOKED, RequestCancelled | | deleted |
| EngineStopped | STOPPED: this worker ends | unchanged | no | released at once |
| UnknownModel, UnknownOption, NotServedHere, in the version window | left to newer workers | RETRY | no | released |
| NotServedHere, after it | UNSERVED: no worker of the lane has the model, or the store | FAILURE | | dead letter |
| AttemptsUsedUp | USED_UP: each attempt took its worker along | FAILURE | | dead letter |
| any other | TRANSIENT, while attempts are left | RETRY | yes | released with backoff |
| any other | then as USED_UP | FAILURE, the last error | | dead letter |

    BaseException
    ├── celery_inference.specs.errors.InferenceError
    │   ├── InvalidInput               INVALID
    │   │   ├── UnknownModel, UnknownOption, InputFailed
    │   │   └── DeviceCrash            CRASH
    │   ├── Expired                    EXPIRED
    │   │   └── RequestExpired
    │   ├── Cancelled                  CANCELLED
    │   │   └── RequestCancelled
    │   └── Transient                  TRANSIENT
    │       ├── DeviceLost, ModelOut, ClaimStoreAway
    │       ├── EngineStopped          STOPPED
    │       └── NotServedHere          UNSERVED
    ├── AttemptsUsedUp                 USED_UP
    └── all else (network, store, …)   TRANSIENT

Celery's own Ignore, Reject and Retry, raised by a task's code, keep Celery's meaning.
"""

from enum import Enum

from celery_inference.errors import AttemptsUsedUp
from celery_inference.specs.errors import Cancelled, DeviceCrash, EngineStopped, Expired, InvalidInput, NotServedHere
from celery_inference.sqs.messages.reason import Cause


class ErrorPolicy(Enum):
    """What becomes of a request whose delivery ended in an error."""

    INVALID = "invalid input"
    CRASH = "crash"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    UNSERVED = "unserved"
    USED_UP = "used up"
    TRANSIENT = "transient"


# The first that fits decides.
ERROR_POLICIES: tuple[tuple[type[BaseException], ErrorPolicy], ...] = (
    (DeviceCrash, ErrorPolicy.CRASH),
    (InvalidInput, ErrorPolicy.INVALID),
    (Expired, ErrorPolicy.EXPIRED),
    (Cancelled, ErrorPolicy.CANCELLED),
    (EngineStopped, ErrorPolicy.STOPPED),
    (NotServedHere, ErrorPolicy.UNSERVED),
    (AttemptsUsedUp, ErrorPolicy.USED_UP),
)
# Of a dead letter, by the policy for the error that it failed with.
CAUSES = {
    ErrorPolicy.INVALID: Cause.INVALID_INPUT,
    ErrorPolicy.CRASH: Cause.CRASH,
    ErrorPolicy.UNSERVED: Cause.UNKNOWN_TASK,
}


def policy_of(error: BaseException, throws: tuple[type[BaseException], ...] = ()) -> ErrorPolicy:
    """The policy for a request whose delivery ended with this error; `throws` are those that its task announces."""
    for kind, policy in ERROR_POLICIES:
        if isinstance(error, kind):
            return policy
    return ErrorPolicy.INVALID if throws and isinstance(error, throws) else ErrorPolicy.TRANSIENT


def cause_of(error: BaseException, throws: tuple[type[BaseException], ...] = ()) -> Cause:
    """What the dead letter of a request that failed for good with this error is filed under."""
    return CAUSES.get(policy_of(error, throws), Cause.ATTEMPTS_USED_UP)
