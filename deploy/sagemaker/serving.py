"""From an invocation's body to its answer, by the engine. Any thread's."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from celery_inference.inputs.check import check_inputs, is_many
from celery_inference.specs.errors import DeviceLost, InferenceError, InvalidInput, UnknownModel, suggestion
from celery_inference.specs.model_spec import ModelSpec
from deploy.sagemaker import wire
from models.engine import Engine

WAIT_SECONDS = 55.0  # SageMaker waits for 60
MOST_INPUTS = 1_024  # of one invocation: several requests of a worker may share it, each within its own limit


class Refusal(Exception):
    """What is answered with a status other than 200; one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Serving:
    """Asks the engine. The caller starts and stops it, and says when."""

    def __init__(self, engine: Engine, specs: Sequence[ModelSpec]) -> None:
        self._engine = engine
        self._specs = {spec.name: spec for spec in specs}
        self._open = False

    def begin(self) -> None:
        """The models are loaded."""
        self._open = True

    def end(self) -> None:
        """Take no more."""
        self._open = False

    def healthy(self) -> bool:
        """Whether every model is served."""
        return self._open and not self._engine.stats()["out"]

    def answer(self, ask: wire.Ask, body: bytes) -> bytes:
        """The body of the answer: one for each input, or as a pipeline's. Blocks. Raises Refusal."""
        if not self._open:
            raise Refusal(503, "the models are being loaded, or the container ends")
        try:
            given, options = wire.read_request(body)
            spec = self._spec(ask.model)
        except (wire.WireError, InvalidInput) as error:
            raise Refusal(400, str(error)) from error
        until = time.monotonic() + min(WAIT_SECONDS if ask.seconds is None else ask.seconds, 3_600.0)
        if ask.each:
            rows = given if isinstance(given, list) else [given]
            answers = self._each(spec, rows, options, until)
            return wire.answer(answers, self._engine.describe(spec.name)["versions"])
        try:
            rows, checked = check_inputs(spec, given, options)
            results = self._result(self._engine.submit(spec.name, rows, checked), until)
        except InferenceError as error:
            raise Refusal(error.http_status, f"{type(error).__name__}: {error}") from error
        return wire.plain(results if is_many(given) else results[0])

    def _spec(self, name: str | None) -> ModelSpec:
        """The model that was asked for, or the only one. Raises UnknownModel."""
        if name is None:
            if len(self._specs) == 1:
                return next(iter(self._specs.values()))
            raise UnknownModel.because("model", f"must be named. {suggestion('', self._specs)}")
        if name not in self._specs:
            raise UnknownModel.unknown("model", name, self._specs)
        return self._specs[name]

    def _each(self, spec: ModelSpec, rows: list[Any], options: dict[str, Any], until: float) -> list[dict[str, Any]]:
        """Each input as a request of its own, all at once, so that the engine's batches hold them together."""
        if not 0 < len(rows) <= MOST_INPUTS:
            raise Refusal(400, f"inputs are {len(rows)}; 1 to {MOST_INPUTS:,} are allowed")
        asked: list[Future[list[Any]] | InferenceError] = [self._submit(spec, row, options) for row in rows]
        answers = []
        for one in asked:
            try:
                if isinstance(one, InferenceError):
                    raise one
                answers.append({"ok": self._result(one, until)[0]})
            except InferenceError as error:
                answers.append({"error": type(error).__name__, "sentence": str(error), "facts": error.facts()})
        return answers

    def _submit(self, spec: ModelSpec, row: Any, options: dict[str, Any]) -> Future[list[Any]] | InferenceError:
        try:
            checked, given = check_inputs(spec, row, options)
            if len(checked) != 1 or is_many(row):
                raise InvalidInput.because("inputs", "must be one input, not a list")
            return self._engine.submit(spec.name, checked, given)
        except InferenceError as error:
            return error

    @staticmethod
    def _result(future: Future[list[Any]], until: float) -> list[Any]:
        try:
            return future.result(timeout=max(0.0, until - time.monotonic()))
        except FutureTimeoutError:
            future.cancel()
            raise DeviceLost("no answer in the time that the invocation has") from None
