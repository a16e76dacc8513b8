"""What becomes of a batch on its way to an endpoint: tried again, halved, or somebody is to blame.

| what happened | what is done | the requests end as |
|---|---|---|
| an answer for each input | | what it says; transient errors of the container as DeviceLost |
| throttled, not ready, unreachable, SageMaker's 5xx | again with full jitter, in the batch's time | EndpointFailed |
| SageMaker's own 4xx: no such endpoint, no permission | | EndpointFailed |
| the container answered 4xx | halved, down to single inputs, if it answers its example | InputFailed, alone |
| the container answered 5xx, wrongly, or not at all | it is asked its example | BatchSuspected, or EndpointFailed |

The last row is that of a device process that dies: who is suspected runs alone, and twice alone makes the culprit.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery_inference.specs.errors import DeviceLost, InputFailed, InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.sqs.api.backoff import full_jitter
from deploy.sagemaker import wire
from deploy.sagemaker.runtime import Busy, ModelFault, RuntimeFault, SageMakerEndpoint

# Of the batch's time limit, past which the process would be killed: for its calls, and then for the example.
TIME_SHARE, EXAMPLE_SHARE = 0.6, 0.25
PAUSE_BASE_SECONDS, PAUSE_CAP_SECONDS = 0.2, 5.0
# What a container says of a row, and may say again: the caller's fault or the model's, as it would be here.
_FINAL = {"InvalidInput", "UnknownOption", "ModelFailed", "InputFailed", "DeviceCrash"}

Answer = dict[str, Any]


class EndpointFailed(Exception):
    """The endpoint is to blame, or how we are set up; nobody's input."""


class BatchSuspected(Exception):
    """The endpoint answers its example, and not this batch."""


class Forwarding:
    """One model's batches. Several threads' at once."""

    def __init__(
        self,
        spec: ModelSpec,
        endpoint: SageMakerEndpoint,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec, self._endpoint, self._clock, self._sleep = spec, endpoint, clock, sleep
        self.versions: dict[str, Any] = {}
        self.example = spec.example if spec.example is not None else _EXAMPLES.get(spec.pipeline_task.media)
        self.example_options = dict(spec.example_options)

    def probe(self) -> Any:
        """The example's result. Raises ModelLoadError: the endpoint does not give it."""
        if self.example is None:
            raise ModelLoadError(f"a model of {self._spec.task} with an endpoint needs an example in the catalogue")
        try:
            (answer,) = self._ask([self.example], self.example_options, self._until(TIME_SHARE))
        except (RuntimeFault, EndpointFailed) as error:
            raise ModelLoadError(f"endpoint {self._spec.endpoint}: {error}") from error
        if "ok" not in answer:
            raise ModelLoadError(f"endpoint {self._spec.endpoint}: its example fails: {answer['sentence']}")
        return answer["ok"]

    def run(self, values: Sequence[Any], options: Sequence[dict[str, Any]]) -> list[Answer]:
        """One answer a value, in order: `{"ok": …}` or `{"error": class, "sentence": …}`. Blocks.

        Raises EndpointFailed or BatchSuspected, both of which speak of the whole batch.
        """
        until = self._until(TIME_SHARE)
        answers: list[Answer] = [{} for _ in values]
        # One body has one set of options; most batches have one, too.
        groups: dict[str, list[int]] = {}
        for row, given in enumerate(options):
            groups.setdefault(json.dumps(given, sort_keys=True), []).append(row)
        for rows in groups.values():
            self._answer(rows, values, options[rows[0]], answers, until)
        return answers

    def _until(self, share: float) -> float:
        return self._clock() + share * self._spec.time_limit_seconds

    def _answer(
        self, rows: list[int], values: Sequence[Any], options: dict[str, Any], answers: list[Answer], until: float
    ) -> None:
        try:
            found = self._ask([values[row] for row in rows], options, until)
        except InvalidInput as error:
            refusal: Exception = error
        except ModelFault as fault:
            if not 400 <= fault.status < 500:
                self._clear(fault)
                raise BatchSuspected(f"the endpoint answers its example, and not this: {fault}") from fault
            refusal = fault
        else:
            for row, answer in zip(rows, found, strict=True):
                answers[row] = _passed_on(answer)
            return
        if len(rows) > 1:
            half = len(rows) // 2
            for part in (rows[:half], rows[half:]):
                self._answer(part, values, options, answers, until)
            return
        if isinstance(refusal, InvalidInput):
            answers[rows[0]] = {"error": InvalidInput.__name__, "sentence": str(refusal)}
            return
        self._clear(refusal)
        sentence = f"inputs made the endpoint refuse, alone too: {refusal}"
        answers[rows[0]] = {"error": InputFailed.__name__, "sentence": sentence}

    def _ask(self, values: list[Any], options: dict[str, Any], until: float) -> list[Answer]:
        """The container's answers. Raises ModelFault, EndpointFailed, and InvalidInput for what is too large."""
        body = wire.request(values, options)
        if len(body) > self._endpoint.max_body_bytes:
            raise InvalidInput.too_large("inputs", len(body), self._endpoint.max_body_bytes, "bytes to an endpoint")
        tries = 0
        while True:
            tries += 1
            seconds = min(self._endpoint.longest_seconds, until - self._clock())
            if seconds <= 0:
                raise EndpointFailed("the batch's time was over before all of it was answered")
            try:
                answered = self._endpoint.invoke(body, wire.attributes(self._spec.name, seconds), seconds)
                read = wire.read_answer(answered, len(values))
                self.versions = read.versions or self.versions
                return read.answers
            except wire.WireError as error:
                raise ModelFault(str(error), 500) from error
            except ModelFault:
                raise
            except Busy as error:
                pause = full_jitter(tries, base_seconds=PAUSE_BASE_SECONDS, cap_seconds=PAUSE_CAP_SECONDS)
                if self._clock() + pause >= until:
                    raise EndpointFailed(f"{error}, {tries} times") from error
                self._sleep(pause)
            except RuntimeFault as error:
                raise EndpointFailed(str(error)) from error

    def _clear(self, fault: Exception) -> None:
        """Return if the example is answered; raise EndpointFailed if not."""
        try:
            (answer,) = self._ask([self.example], self.example_options, self._until(EXAMPLE_SHARE))
        except (RuntimeFault, EndpointFailed) as error:
            raise EndpointFailed(f"{fault}; nor does it answer its example: {error}") from fault
        if "ok" not in answer:
            raise EndpointFailed(f"{fault}; and its example fails: {answer['sentence']}")


def _passed_on(answer: Answer) -> Answer:
    """An answer as a device process gives it: what may pass at another try is transient."""
    if "ok" in answer:
        return {"ok": answer["ok"], "bytes": len(json.dumps(answer["ok"]))}
    error = answer["error"] if answer["error"] in _FINAL else DeviceLost.__name__
    return {"error": error, "sentence": str(answer["sentence"]), "facts": answer.get("facts")}


# Of kinds whose input is a text; the models of others need an `example` in the catalogue.
_EXAMPLES: dict[str, Any] = dict.fromkeys(("text", "chat"), "The quick brown fox jumps over the lazy dog.")
