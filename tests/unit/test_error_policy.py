"""What becomes of a request by its error: the table in the docs is the table in the code."""

from dataclasses import replace
from pathlib import Path

import pytest

from celery_inference.errors import (
    AttemptsUsedUp,
    RequestCancelled,
    RequestExpired,
    ResultTooLarge,
    SettingError,
    SqsError,
    StoreUnavailable,
    UndecodableError,
)
from celery_inference.specs.errors import (
    Cancelled,
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    Fault,
    InferenceError,
    InputFailed,
    InvalidInput,
    ModelFailed,
    NotServedHere,
    UnknownModel,
    UnknownOption,
)
from celery_inference.sqs.messages.reason import Cause
from tasks.execution.error_policy import (
    RULES,
    AttemptCount,
    AttemptFacts,
    Delay,
    ErrorDecision,
    RequestState,
    Rule,
    Settlement,
    decide,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outcomes.md"
HEAD = "| error | when | state | message | invisible for | attempt counts | dead letter's cause |"
FIRST = AttemptFacts(known=0, count=1, limit=4)  # the first delivery, before its attempt begins
STARTED = replace(FIRST, started=True)
FAILED = AttemptFacts(failed=True)


def row(rule: Rule) -> str:
    """A rule as a row of the documented table."""
    if rule.errors is None:
        errors = "those of the task's `throws`"
    elif rule.errors == (object,):
        errors = "any other"
    else:
        errors = ", ".join(f"`{error.__name__}`" for error in rule.errors)
    values = [rule.when.text, rule.state.value, rule.settlement.value, rule.delay.value, rule.counts.value]
    cells = [errors, *values, f"`{rule.cause}`" if rule.cause else ""]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def test_the_documented_table_is_the_code() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEAD) + 2
    assert lines[start : start + len(RULES) + 1] == [*map(row, RULES), ""]


def test_each_dead_letter_has_a_cause_and_nothing_else_has() -> None:
    for rule in RULES:
        assert (rule.cause is not None) is (rule.settlement is Settlement.DEAD_LETTER), row(rule)


def summary(decision: ErrorDecision) -> tuple[RequestState, Settlement, Delay, AttemptCount, Cause | None]:
    return decision.state, decision.settlement, decision.delay, decision.counts, decision.cause


AT_ONCE = (RequestState.FAILURE, Settlement.DEAD_LETTER, Delay.NONE, AttemptCount.AS_BEGUN)
AGAIN = (RequestState.RETRY, Settlement.RELEASE, Delay.BACKOFF, AttemptCount.YES, None)


def test_every_error_of_ours_has_a_fate() -> None:
    def below(root: type[Exception]) -> set[type[Exception]]:
        return {root}.union(*(below(child) for child in root.__subclasses__()))

    def takes_facts(error: type[Exception]) -> bool:
        return issubclass(error, SqsError | SettingError)

    fates = {error: summary(decide(error("x"), STARTED)) for error in below(InferenceError) if not takes_facts(error)}
    assert {error: fate for error, fate in fates.items() if fate != AGAIN} == {
        InvalidInput: (*AT_ONCE, Cause.INVALID_INPUT),
        ResultTooLarge: (*AT_ONCE, Cause.INVALID_INPUT),
        UnknownModel: (*AT_ONCE, Cause.UNKNOWN_TASK),
        UnknownOption: (*AT_ONCE, Cause.UNKNOWN_TASK),
        ModelFailed: (*AT_ONCE, Cause.MODEL_FAILED),
        InputFailed: (*AT_ONCE, Cause.MODEL_FAILED),
        DeviceCrash: (*AT_ONCE, Cause.CRASH),
        Expired: (RequestState.EXPIRED, Settlement.DELETE, Delay.NONE, AttemptCount.AS_BEGUN, None),
        RequestExpired: (RequestState.EXPIRED, Settlement.DELETE, Delay.NONE, AttemptCount.AS_BEGUN, None),
        Cancelled: (RequestState.CANCELLED, Settlement.DELETE, Delay.NONE, AttemptCount.AS_BEGUN, None),
        RequestCancelled: (RequestState.CANCELLED, Settlement.DELETE, Delay.NONE, AttemptCount.AS_BEGUN, None),
        EngineStopped: (RequestState.UNCHANGED, Settlement.RELEASE, Delay.NONE, AttemptCount.TAKEN_BACK, None),
        NotServedHere: (*AT_ONCE, Cause.UNKNOWN_TASK),
        AttemptsUsedUp: (*AT_ONCE, Cause.ATTEMPTS_USED_UP),
        StoreUnavailable: (RequestState.UNCHANGED, Settlement.RELEASE, Delay.BACKOFF, AttemptCount.YES, None),
    }


@pytest.mark.parametrize("error", [UnknownModel("x"), UnknownOption("x"), NotServedHere("x")])
def test_what_newer_workers_may_know_is_left_to_them_for_a_while(error: Exception) -> None:
    decision = decide(error, replace(FIRST, grace_seconds=5.0))
    assert summary(decision) == (RequestState.RETRY, Settlement.RELEASE, Delay.GRACE, AttemptCount.AS_BEGUN, None)
    assert decide(error, FIRST).state is RequestState.FAILURE


def test_a_lane_may_want_no_dead_letters_of_what_callers_got_wrong() -> None:
    facts = replace(STARTED, keeps_invalid_input=False, throws=(LookupError,))
    for error in (InvalidInput("x"), KeyError("x")):
        assert summary(decide(error, facts))[:2] == (RequestState.FAILURE, Settlement.DELETE)
    for error in (DeviceCrash("x"), InputFailed("x"), UnknownModel("x")):
        assert decide(error, facts).settlement is Settlement.DEAD_LETTER


@pytest.mark.parametrize("error", [UnknownModel.unknown("model", "smal", ["small"]), UnknownOption("x")])
def test_what_the_senders_catalogue_has_and_this_one_has_not_is_the_deployments_fault(error: InferenceError) -> None:
    stored = decide(error, STARTED).error
    assert isinstance(stored, NotServedHere)
    assert (stored.fault, str(stored), stored.nearest) == (Fault.DEPLOYMENT, str(error), error.nearest)


def test_the_cause_of_a_dead_letter_says_whose_fault_the_error_is() -> None:
    for error in (InvalidInput("x"), InputFailed("x"), DeviceCrash("x"), DeviceLost("x"), UndecodableError("x")):
        cause = decide(error, FAILED).cause
        assert cause is not None
        assert cause.fault is error.fault


def test_what_a_task_announces_is_the_callers_fault() -> None:
    assert summary(decide(LookupError("x"), STARTED)) == AGAIN
    announced = replace(STARTED, throws=(KeyError, LookupError))
    assert summary(decide(LookupError("x"), announced)) == (*AT_ONCE, Cause.INVALID_INPUT)
    assert decide(EngineStopped("x"), replace(STARTED, throws=(Exception,))).settlement is Settlement.RELEASE


def test_what_fails_before_its_attempt_uses_up_none_and_waits_longer_with_each_delivery() -> None:
    decision = decide(DeviceLost("x"), replace(FIRST, deliveries=9))
    assert summary(decision) == (RequestState.RETRY, Settlement.RELEASE, Delay.BACKOFF, AttemptCount.AS_BEGUN, None)
    assert decision.tries == 9
    assert decide(StoreUnavailable("x"), FIRST).state is RequestState.UNCHANGED
    assert decide(RuntimeError("x"), FIRST).counts is AttemptCount.YES


def test_the_last_attempt_ends_the_request() -> None:
    third = replace(STARTED, known=2, count=3, deliveries=9)
    assert summary(decide(DeviceLost("x"), third)) == AGAIN
    assert decide(DeviceLost("x"), third).tries == 3
    last = decide(DeviceLost("x"), replace(third, known=3, count=4))
    assert summary(last) == (
        RequestState.FAILURE,
        Settlement.DEAD_LETTER,
        Delay.NONE,
        AttemptCount.YES,
        Cause.ATTEMPTS_USED_UP,
    )
    # It has no attempt to count: a later delivery found that there are no more, or retry() has said so.
    for none_left in (replace(third, known=4, count=5, started=False), replace(third, final=True)):
        assert summary(decide(DeviceLost("x"), none_left)) == (*AT_ONCE, Cause.ATTEMPTS_USED_UP)


def test_what_has_failed_is_a_dead_letter_whatever_its_error() -> None:
    for error in (EngineStopped("x"), Expired("x"), DeviceLost("x"), RuntimeError("x"), StoreUnavailable("x")):
        assert summary(decide(error, FAILED)) == (*AT_ONCE, Cause.ATTEMPTS_USED_UP)
    assert decide(UnknownModel("x"), replace(FAILED, grace_seconds=5.0)).cause is Cause.UNKNOWN_TASK


def test_what_no_worker_has_explained_is_lost() -> None:
    assert decide(AttemptsUsedUp("x"), replace(FAILED, moved_by_sqs=True)).cause is Cause.LOST
    assert decide(DeviceLost("x"), replace(FAILED, moved_by_sqs=True)).cause is Cause.ATTEMPTS_USED_UP


def test_what_is_revoked_is_stored_as_an_error_of_celerys() -> None:
    assert isinstance(decide(Expired("late"), FIRST).error, RequestExpired)
    assert isinstance(decide(Cancelled("gone"), FIRST).error, RequestCancelled)
    own = RequestExpired("late")
    assert decide(own, FIRST).error is own


def test_a_traceback_is_shown_of_what_was_not_raised_on_purpose() -> None:
    assert not decide(RuntimeError("x"), STARTED).expected
    assert decide(StoreUnavailable("x"), STARTED).expected
    assert decide(DeviceLost("x"), STARTED).expected
