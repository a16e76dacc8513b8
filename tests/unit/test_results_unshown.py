"""The patch of Celery's tracer, and that it still is what it was made for."""

from importlib.metadata import version

from celery.app import trace
from celery.utils.saferepr import saferepr

from tasks.patches.celery_result_repr import leave_unshown


class Counting(list[float]):
    """A result that knows how often it was walked through."""

    walks = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.walks += 1
        return super().__iter__()


def test_the_version_is_the_one_that_the_patch_was_made_for() -> None:
    assert version("celery").startswith("5.7.")
    assert callable(trace.saferepr)
    assert saferepr("a result", 0) == ", ..."


def test_a_result_of_which_nothing_is_shown_is_not_walked_through() -> None:
    result = Counting([0.5, 0.25])
    saferepr(result, 0)
    assert result.walks  # what Celery does
    walked = result.walks
    leave_unshown()
    assert trace.saferepr(result, 0) == "(withheld)"
    assert result.walks == walked


def test_other_results_are_shown_as_before() -> None:
    leave_unshown()
    assert trace.saferepr([1, 2], 1024) == saferepr([1, 2], 1024) == "[1, 2]"
    assert trace.saferepr("x" * 50, 10) == saferepr("x" * 50, 10)
