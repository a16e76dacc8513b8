"""The facts of an error, for who asks for the result: `field`, `index`, `limit` and the others of InferenceError.

Celery's JSON results hold an exception as its class and its arguments, and no attributes. Here they stand beside those,
under a key of our own, which other readers pass over; entries without it are read as before. What is stored comes from
the error alone, so that no message can say it, and what is read must be of the types of these attributes.
"""

from typing import Any

from celery.backends.base import Backend

from celery_inference.specs.errors import InferenceError

KEY = "inference_facts"  # of a stored exception


def telling(backend: Backend) -> Backend:
    """The backend, made to store an error's facts and to give them back; any of Celery's that stores JSON."""
    prepare, rebuild = backend.prepare_exception, backend.exception_to_python

    def prepare_exception(error: BaseException, serializer: str | None = None) -> Any:
        stored = prepare(error, serializer)
        facts = error.facts() if isinstance(error, InferenceError) else {}
        return {**stored, KEY: facts} if facts and isinstance(stored, dict) else stored

    def exception_to_python(stored: Any) -> Any:
        error = (_of_sqs(stored) if isinstance(stored, dict) else None) or rebuild(stored)
        if isinstance(error, InferenceError) and isinstance(stored, dict):
            error.take_facts(stored.get(KEY))
        return error

    backend.prepare_exception, backend.exception_to_python = prepare_exception, exception_to_python
    return backend


def _of_sqs(stored: dict[str, Any]) -> Exception | None:
    """Errors whose constructors take facts, and which Celery would rebuild as another class: their sentence alone."""
    from celery_inference import errors

    kind = getattr(errors, str(stored.get("exc_type")), None)
    if (
        not isinstance(kind, type)
        or not issubclass(kind, errors.SqsError)
        or kind.__module__ != stored.get("exc_module")
    ):
        return None
    error = kind.__new__(kind)
    sentence = stored.get("exc_message")
    error.args = tuple(sentence) if isinstance(sentence, (list, tuple)) else (sentence,)
    return error
