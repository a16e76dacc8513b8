"""What a forwarder and a container say to each other, within what SageMaker passes on. Pure.

The request's body is that of Hugging Face's inference containers, `{"inputs": [...], "parameters": {...}}`, so that
those can be asked, too. Its custom attributes name the model, and say that each input may be answered by itself:

    celery-inference; model=all-minilm-l6-v2; seconds=50

Our container then answers `{"celery-inference": 1, "answers": [{"ok": …} or {"error": class, "sentence": …, "facts":
{…}}], "versions": {…}}`, others a list with one result an input. The facts are those of InferenceError.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

MARK = "celery-inference"
JSON = "application/json"


class WireError(ValueError):
    """What came is not what was agreed; one sentence."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the custom attributes say; without our mark `each` is False, and the answer is as a pipeline's."""

    model: str | None = None
    each: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer an input, and what they were made with as far as the container says so."""

    answers: list[dict[str, Any]]
    versions: dict[str, Any]


def attributes(model: str, seconds: float) -> str:
    """Custom attributes for SageMaker: at most 1,024 visible ASCII characters."""
    return f"{MARK}; model={model}; seconds={seconds:.0f}"


def read_attributes(text: str) -> Ask:
    """What custom attributes say to us; those of others say nothing."""
    first, *rest = [part.strip() for part in text.split(";")]
    if first != MARK:
        return Ask()
    values = dict(part.partition("=")[::2] for part in rest)
    try:
        seconds = float(values["seconds"]) if "seconds" in values else None
    except ValueError:
        seconds = None
    if seconds is not None and not 0 < seconds < math.inf:
        seconds = None
    return Ask(values.get("model") or None, True, seconds)


def request(inputs: list[Any], parameters: dict[str, Any]) -> bytes:
    """A request's body."""
    return json.dumps({"inputs": inputs, "parameters": parameters}, ensure_ascii=False).encode()


def read_request(body: bytes) -> tuple[Any, dict[str, Any]]:
    """Inputs and options of a body. Raises WireError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the body is no JSON: {error}") from None
    if not isinstance(content, dict) or "inputs" not in content:
        raise WireError('the body must be {"inputs": …, "parameters": {…}}')
    unknown = sorted(set(content) - {"inputs", "parameters"})
    if unknown:
        raise WireError(f"the body has {unknown[0]!r}; known are inputs and parameters")
    parameters = content.get("parameters")
    if not isinstance(parameters, dict | None):
        raise WireError("parameters must be an object of options")
    return content["inputs"], parameters or {}


def answer(answers: list[dict[str, Any]], versions: dict[str, Any]) -> bytes:
    """The body of an answer to our mark."""
    return json.dumps({MARK: 1, "answers": answers, "versions": versions}, ensure_ascii=False).encode()


def plain(content: Any) -> bytes:
    """A body that only says this."""
    return json.dumps(content, ensure_ascii=False).encode()


def read_answer(body: bytes, count: int) -> Answered:
    """The answers to so many inputs. Raises WireError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the answer is no JSON: {error}") from None
    versions: dict[str, Any] = {}
    if isinstance(content, dict) and content.get(MARK) == 1:
        found, told = content.get("answers"), content.get("versions")
        versions = told if isinstance(told, dict) else {}
    else:
        found = [{"ok": result} for result in content] if isinstance(content, list) else content
    if not isinstance(found, list):
        raise WireError("the answer is neither a list nor one of ours")
    if len(found) != count:
        raise WireError(f"{count} inputs were sent, and {len(found)} answered")
    for each in found:
        if not isinstance(each, dict) or not ("ok" in each or {"error", "sentence"} <= each.keys()):
            raise WireError("an answer is neither a result nor an error")
    return Answered(found, versions)
