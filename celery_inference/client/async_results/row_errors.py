"""The answer of a request with `return_errors=True`, taken apart: results and errors by index.

results, errors = results_and_errors(feature_extraction.delay(texts, return_errors=True).get())
"""

from collections.abc import Sequence
from typing import Any

from celery_inference.specs.errors import InferenceError, rebuild


def results_and_errors(answer: Sequence[Any]) -> tuple[list[Any], dict[int, InferenceError]]:
    """The results in the order of the inputs, None where there is an error; and the errors by index, as `get()` would
    raise them.

    Raises:
        ValueError: it is the answer of a request without `return_errors`.
    """
    results: list[Any] = []
    errors: dict[int, InferenceError] = {}
    for index, item in enumerate(answer):
        if not isinstance(item, dict) or item.keys() not in ({"result"}, {"error"}):
            raise ValueError(f"answer[{index}] is neither a result nor an error: was return_errors=True given?")
        results.append(item.get("result"))
        if "error" in item:
            said = item["error"]
            errors[index] = rebuild(said["type"], said["message"], said)
    return results, errors
