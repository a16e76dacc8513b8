"""Errors keep their sentence wherever they are rebuilt from it."""

import inspect

import pytest

from celery_inference.specs import errors
from celery_inference.specs.errors import (
    Cancelled,
    DeploymentError,
    Expired,
    Fault,
    InferenceError,
    InputFailed,
    InvalidInput,
    ModelFailed,
    Transient,
    nearest,
    rebuild,
)

ALL = [
    item
    for item in vars(errors).values()
    if inspect.isclass(item) and issubclass(item, InferenceError) and item is not InferenceError
]


@pytest.mark.parametrize("error_class", ALL, ids=lambda c: c.__name__)
def test_every_error_is_rebuilt_from_its_sentence_alone(error_class: type[InferenceError]) -> None:
    error = error_class("one sentence")
    assert error_class(*error.args).args == ("one sentence",)
    assert str(error) == "one sentence"


@pytest.mark.parametrize("error_class", ALL, ids=lambda c: c.__name__)
def test_the_tree_in_the_docstring_lists_every_error(error_class: type[InferenceError]) -> None:
    assert error_class.__name__ in (errors.__doc__ or "")


def test_what_another_delivery_may_mend_is_transient() -> None:
    names = {item.__name__ for item in ALL if issubclass(item, Transient) and item is not Transient}
    assert names == {"DeviceLost", "ModelOut", "EngineStopped", "ClaimStoreAway"}


def test_each_error_has_one_fault_and_a_status_that_tells_it() -> None:
    statuses = {Fault.CALLER: 422, Fault.MODEL: 500, Fault.INFRASTRUCTURE: 503, Fault.DEPLOYMENT: 500}
    branches = {
        InvalidInput: "caller",
        ModelFailed: "model",
        Transient: "infrastructure",
        DeploymentError: "deployment",
    }
    for item in set(ALL) - {Expired, Cancelled}:
        (branch,) = (branch for branch in branches if issubclass(item, branch))
        assert item.fault == branches[branch]
        assert item.fault is not None
        assert item.http_status == statuses[item.fault]
    assert (Expired.fault, Cancelled.fault) == (None, None)


def test_facts_stand_in_attributes() -> None:
    error = InvalidInput.too_large("inputs", 2_000_000, 1_000_000, "bytes")
    assert str(error) == "inputs has 2,000,000 bytes; at most 1,000,000 are allowed"
    assert (error.field, error.limit) == ("inputs", 1_000_000)
    assert isinstance(error, ValueError)


def test_a_device_process_can_only_name_errors_of_its_own() -> None:
    assert type(rebuild("InvalidInput", "x")) is InvalidInput
    assert type(rebuild("SystemExit", "x")) is InputFailed


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    assert nearest("zzzz", ["abc", "def"]) is None
    assert nearest("abd", ["abc", "def"]) == "abc"
