"""What becomes of a request whose delivery ended in an error: one table, RULES, and one pure function, `decide`.

The request's failure path and the dead-letter reconciler both ask `decide`; what they do follows from the ErrorDecision
alone. docs/outcomes.md shows the same table, and a test compares the two.

Celery's own Ignore, Reject and Retry, raised by a task's code, are no errors here and keep Celery's meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from celery_inference.errors import AttemptsUsedUp, RequestCancelled, RequestExpired
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.specs.errors import (
    Cancelled,
    DeviceCrash,
    EngineStopped,
    Expired,
    InferenceError,
    InvalidInput,
    ModelFailed,
    NotServedHere,
    Transient,
    UnknownModel,
    UnknownOption,
)
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.reason import Cause


class RequestState(Enum):
    """What the result store says of the request from now on."""

    UNCHANGED = "unchanged"
    RETRY = "RETRY"
    FAILURE = "FAILURE"
    EXPIRED = "REVOKED, RequestExpired"
    CANCELLED = "REVOKED, RequestCancelled"


class Settlement(Enum):
    """What becomes of the message."""

    DELETE = "deleted"
    RELEASE = "released"
    DEAD_LETTER = "dead letter"


class Delay(Enum):
    """For how long a released message stays invisible."""

    NONE = ""
    GRACE = "5 s, then ever longer"  # as `celery_inference.sqs.consumer.redelivery` says
    BACKOFF = "backoff with full jitter"


class AttemptCount(Enum):
    """What becomes of the attempt."""

    AS_BEGUN = ""  # it counts if it has begun
    YES = "yes"  # also if it had not begun; a failure of this host
    TAKEN_BACK = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """What a decision depends on, beside the error. The defaults are those of a request that failed for good."""

    started: bool = False  # whether this attempt has begun
    known: int = 0  # attempts before this one
    count: int = 0  # attempts, this one included once it counts
    limit: int = 0  # of attempts
    deliveries: int = 1
    final: bool = False  # a `retry()` of the task's own has said that there is no other
    failed: bool = False  # its FAILURE is stored: only its message is to be decided
    grace_seconds: float | None = None  # when to look at it again while newer workers may know what it asks for
    throws: tuple[type[BaseException], ...] = ()  # what its task announces
    keeps_invalid_input: bool = True  # whether its lane wants dead letters of what callers got wrong
    moved_by_sqs: bool = False  # it was received too often, and no worker has said why

    @property
    def may_try_again(self) -> bool:
        """Whether there were attempts left when this delivery came."""
        return self.known < self.limit and not self.final and not self.failed


@dataclass(frozen=True, slots=True)
class When:
    """A condition of a rule: its words in the documented table, and what they mean."""

    text: str
    holds: Callable[[AttemptFacts], bool]


ALWAYS = When("", lambda _: True)
IN_GRACE_PERIOD = When(
    "within the grace period for unknown tasks", lambda facts: facts.grace_seconds is not None and not facts.failed
)
LANE_DROPS_INVALID = When('the lane has `invalid_input = "fail"`', lambda facts: not facts.keeps_invalid_input)
MOVED_BY_SQS = When("SQS itself moved the message", lambda facts: facts.moved_by_sqs)
NOT_STARTED = When("before its attempt began", lambda facts: facts.may_try_again and not facts.started)
ATTEMPTS_LEFT = When("attempts are left", lambda facts: facts.may_try_again and facts.count < facts.limit)
LAST_ATTEMPT = When("in its last attempt", lambda facts: facts.may_try_again)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table."""

    errors: tuple[type, ...] | None  # None: those that the task announces with `throws`
    when: When
    state: RequestState
    settlement: Settlement
    delay: Delay = Delay.NONE
    counts: AttemptCount = AttemptCount.AS_BEGUN
    cause: Cause | None = None

    def applies(self, error: BaseException, facts: AttemptFacts) -> bool:
        """Whether the row is about this error at this time."""
        if facts.failed and self.state is not RequestState.FAILURE:
            return False
        return isinstance(error, facts.throws if self.errors is None else self.errors) and self.when.holds(facts)


_RELEASE, _DELETE, _DEAD_LETTER = Settlement.RELEASE, Settlement.DELETE, Settlement.DEAD_LETTER
_UNKNOWN_HERE = (UnknownModel, UnknownOption, NotServedHere)
# The first that applies decides. `object` is any other error, also what no exception could be rebuilt from.
RULES = (
    Rule(_UNKNOWN_HERE, IN_GRACE_PERIOD, RequestState.RETRY, _RELEASE, Delay.GRACE),
    Rule(_UNKNOWN_HERE, ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.UNKNOWN_TASK),
    Rule((DeviceCrash,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.CRASH),
    Rule((ModelFailed,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.MODEL_FAILED),
    Rule((UndecodableError,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.UNREADABLE),
    Rule((InvalidInput,), LANE_DROPS_INVALID, RequestState.FAILURE, _DELETE),
    Rule((InvalidInput,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.INVALID_INPUT),
    Rule((Expired,), ALWAYS, RequestState.EXPIRED, _DELETE),
    Rule((Cancelled,), ALWAYS, RequestState.CANCELLED, _DELETE),
    Rule((EngineStopped,), ALWAYS, RequestState.UNCHANGED, _RELEASE, counts=AttemptCount.TAKEN_BACK),
    Rule((AttemptsUsedUp,), MOVED_BY_SQS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.LOST),
    Rule((AttemptsUsedUp,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.ATTEMPTS_USED_UP),
    Rule(None, LANE_DROPS_INVALID, RequestState.FAILURE, _DELETE),
    Rule(None, ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.INVALID_INPUT),
    Rule((StoreUnavailable,), NOT_STARTED, RequestState.UNCHANGED, _RELEASE, Delay.BACKOFF),
    Rule((Transient,), NOT_STARTED, RequestState.RETRY, _RELEASE, Delay.BACKOFF),
    Rule((StoreUnavailable,), ATTEMPTS_LEFT, RequestState.UNCHANGED, _RELEASE, Delay.BACKOFF, AttemptCount.YES),
    Rule((object,), ATTEMPTS_LEFT, RequestState.RETRY, _RELEASE, Delay.BACKOFF, AttemptCount.YES),
    Rule(
        (object,),
        LAST_ATTEMPT,
        RequestState.FAILURE,
        _DEAD_LETTER,
        Delay.NONE,
        AttemptCount.YES,
        Cause.ATTEMPTS_USED_UP,
    ),
    Rule((object,), ALWAYS, RequestState.FAILURE, _DEAD_LETTER, cause=Cause.ATTEMPTS_USED_UP),
)


@dataclass(frozen=True, slots=True)
class ErrorDecision:
    """What becomes of a request, its message and its attempt; nothing downstream looks at the error's class again.

    `tries` is what a backoff grows with, `cause` what its dead letter is filed under, `error` what is stored.
    `expected` says that the error was raised on purpose, so that its traceback tells nothing.
    """

    state: RequestState
    settlement: Settlement
    delay: Delay
    counts: AttemptCount
    cause: Cause | None
    error: BaseException
    tries: int
    expected: bool


def decide(error: BaseException, attempt: AttemptFacts) -> ErrorDecision:
    """What becomes of a request whose delivery ended with this error. Pure."""
    rule = next(rule for rule in RULES if rule.applies(error, attempt))
    tries = attempt.deliveries if rule.when is NOT_STARTED else attempt.count
    stored = _stored(error, rule.state)
    expected = isinstance(error, InferenceError)
    return ErrorDecision(rule.state, rule.settlement, rule.delay, rule.counts, rule.cause, stored, tries, expected)


def _stored(error: BaseException, state: RequestState) -> BaseException:
    """The error as it is stored: what is REVOKED has one that is Celery's, too.

    A model or option that the sender's catalogue has, if it checked, and this one has not is the deployment's fault.
    """
    if state is RequestState.EXPIRED and not isinstance(error, RequestExpired):
        return RequestExpired(str(error))
    if state is RequestState.CANCELLED and not isinstance(error, RequestCancelled):
        return RequestCancelled(str(error))
    if isinstance(error, UnknownModel | UnknownOption):
        here = NotServedHere(str(error))
        here.take_facts(error.facts())
        return here
    return error
