"""Errors by which requests end, beside those of `celery_inference.specs.errors`.

    celery.exceptions.TaskRevokedError
    ├── RequestExpired (also celery_inference.specs.errors.Expired)       its deadline passed before its work began
    └── RequestCancelled (also celery_inference.specs.errors.Cancelled)   somebody revoked it
    AttemptsUsedUp                                        every attempt died with its worker, without an error

The first two come with Celery's state REVOKED: they are outcomes of their own, and no failures.
"""

from celery.exceptions import TaskRevokedError

from celery_inference.specs.errors import Cancelled, Expired


class RequestExpired(Expired, TaskRevokedError):
    """The deadline passed before the request's work began."""


class RequestCancelled(Cancelled, TaskRevokedError):
    """The request was revoked."""


class AttemptsUsedUp(Exception):
    """Every attempt of the request ended without a word: each worker that had it died."""
