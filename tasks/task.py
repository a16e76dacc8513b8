"""Task classes: what every task of this application does on a lane, and what inference adds to it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from celery import Task
from celery.exceptions import Reject, Retry
from celery.states import RETRY
from celery.utils.log import get_task_logger

from models.errors import EngineStopped, Expired, InvalidInput, ModelsError, UnknownModel, UnknownOption
from models.inputs import check, is_many
from models.spec import ModelSpec
from sqs.backoff import release_after
from sqs.lanes import INFERENCE
from sqs.version_window import seconds_until_known
from tasks import serving
from tasks.catalogue import catalogue
from tasks.fates import Fate, fate_of
from tasks.made_with import note
from tasks.routing import kept_apart

logger = get_task_logger(__name__)

# Of a newer version of the catalogue, or of workers that load other models.
NOT_KNOWN_HERE = (UnknownModel, UnknownOption, serving.NotServedHere)


class LaneTask(Task):
    """A task whose message is settled as its lane wants: dead-lettered with a reason when it fails for good."""

    Request = "tasks.request:DeliveryRequest"

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As Celery's; what is not inference never goes to a lane whose slots are the engine's."""
        queue = options.get("queue", getattr(self, "queue", None))
        if not isinstance(self, InferenceTask) and (apart := kept_apart(queue)) != queue:
            options["queue"] = apart
        return super().apply_async(args, kwargs, **options)


class InferenceTask(LaneTask):
    """A task that asks a model. `kind` is transformers' pipeline task; None serves any."""

    abstract = True
    kind: ClassVar[str | None] = None
    # Both end as they should: one line in the log, without a traceback that nobody has to act upon.
    throws = (InvalidInput, Expired)
    # Results are the caller's data and stay out of logs and events; so do inputs, below.
    resultrepr_maxsize = 0

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Check the request as the worker will, then send it.

        Raises:
            InvalidInput: with the field, the limit and the nearest valid name; nothing was sent.
            TypeError: the arguments do not fit the task's signature.
        """
        bound = inspect.signature(self.run).bind(*(args or ()), **(kwargs or {}))
        arguments = dict(bound.arguments)
        inputs = arguments.pop("inputs")
        spec = self.spec(arguments.get("model"))
        rows, checked = check(spec, inputs, arguments.get("options"))
        sent = rows if is_many(inputs) else rows[0]
        options.setdefault("argsrepr", f"({len(rows)} inputs)")
        options.setdefault("kwargsrepr", repr({"model": spec.name}))
        return super().apply_async((), {"inputs": sent, "model": spec.name, **checked}, **options)

    def spec(self, model: str | None) -> ModelSpec:
        """The spec of the model that was asked for, or the kind's default.

        Raises:
            UnknownModel: no such model, or one of another kind.
        """
        if model is None and self.kind is not None:
            return catalogue().default_for(self.kind)
        spec = catalogue().get(model or "")
        if self.kind is not None and spec.task != self.kind:
            serving = [other.name for other in catalogue() if other.task == self.kind]
            raise UnknownModel.because(
                "model", f'"{spec.name}" serves {spec.task}, not {self.kind} ({", ".join(serving) or "none does"})'
            )
        return spec

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One attempt, in a thread of the worker's pool. Transient errors release the delivery."""
        try:
            self._check_arguments(args, kwargs)
            return self.run(*args, **kwargs)
        except (Reject, Retry):
            raise
        except Exception as error:
            here = self.request.called_directly or self.request.is_eager
            if not here and isinstance(error, NOT_KNOWN_HERE):
                self._leave_to_newer(error)
            if here or fate_of(error) is not Fate.TRANSIENT:
                raise
            if not isinstance(error, EngineStopped):
                self._note_failed_attempt(error)
            raise Reject(error, requeue=True) from error

    def _check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse arguments that do not fit, as messages of others may carry them. Raises InvalidInput."""
        try:
            if "self" in kwargs:
                raise TypeError("got an unexpected keyword argument 'self'")
            inspect.signature(self.run).bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidInput.because("arguments", f"do not fit {self.name}: {error}") from None

    def _leave_to_newer(self, error: Exception) -> None:
        """Release a request that another worker may understand, while its version window is open."""
        tag = (self.request.properties or {}).get("delivery_tag", "")
        window_seconds = self.app.conf.broker_transport_options["version_window_seconds"]
        seconds = seconds_until_known(tag, window_seconds)
        if seconds is None:
            raise error
        logger.warning("request %s is left to other workers: %s", self.request.id, error)
        release_after(tag, seconds)
        self.backend.store_result(self.request.id, error, RETRY, request=self.request)
        raise Reject(error, requeue=True) from error

    def _note_failed_attempt(self, error: Exception) -> None:
        """Let the caller see that there will be another attempt; if there will not, raise the error."""
        if self.deliveries >= INFERENCE.max_receive_count:
            raise error
        place = f"{self.deliveries} of {INFERENCE.max_receive_count}"
        expected = isinstance(error, ModelsError)
        logger.warning("request %s: attempt %s failed: %r", self.request.id, place, error, exc_info=not expected)
        self.backend.store_result(self.request.id, error, RETRY, request=self.request)

    @property
    def deliveries(self) -> int:
        """How often SQS has delivered the running request, this time included."""
        delivery = (self.request.properties or {}).get("delivery_info") or {}
        return int(delivery.get("delivery_count", 1))

    def answer(self, model: str | None, inputs: Any, options: dict[str, Any]) -> Any:
        """Run the request on the engine and wait for it; a list of inputs is answered by a list.

        Raises:
            InvalidInput: what `apply_async` would have refused; messages come from others, too.
            models.errors.ModelsError: as the engine resolves the request.
        """
        spec = self.spec(model)
        rows, checked = check(spec, inputs, options)
        note(self.request, serving.describe(spec.name))
        results = serving.run(spec.name, rows, checked, request_id=self.request.id, expires=self.request.expires)
        return results if is_many(inputs) else results[0]
