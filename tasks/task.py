"""Task classes: what every task of this application does on a lane, and what inference adds to it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from celery import Task
from celery.exceptions import MaxRetriesExceededError, Reject, Retry

from celery_inference.inputs import token_count
from celery_inference.inputs.check import check_inputs, is_many
from celery_inference.specs.errors import Expired, InvalidInput, UnknownModel
from celery_inference.specs.model_spec import ModelSpec
from tasks import serving
from tasks.arguments import take_apart
from tasks.attempts import here, lane_named
from tasks.catalogue import catalogue, lane_of
from tasks.claimed import redeemed
from tasks.delivery import Delivery, check_arguments
from tasks.made_with import note
from tasks.personal import shown
from tasks.result import LaneResult
from tasks.retention import deadline_seconds, instant, seconds_until_due
from tasks.routing import kept_apart
from tasks.submission import refuse_keys_within, submit_once


class LaneTask(Task):
    """A task whose deliveries end as `tasks.fates` says; its errors are tried again unless the table knows better."""

    Request = "tasks.request:DeliveryRequest"
    # Whether the task's own code says when its work starts; else that is when its code does.
    begins_by_itself: ClassVar[bool] = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One delivery, in a thread of the worker's pool; or a plain call."""
        request = self.request
        if request.called_directly or request.is_eager or request._protected:
            return self.call_directly(*args, **kwargs)
        request._protected = 1  # a call of the task within itself is a plain one
        return Delivery(self).work(args, kwargs)

    def call_directly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's code here and now, without a delivery."""
        return super().__call__(*args, **kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        dedup_key: str | None = None,
        **options: Any,
    ) -> Any:
        """Send the request. Without `expires` its deadline is an hour before SQS would drop it unseen.

        Submissions of one task with the same `dedup_key` are one request, as long as its result is kept.

        Raises:
            TypeError: `dedup_key` is no text, or the request has an id of its own: it was given, or a group, chain or
                chord names it so as to wait for it.
        """
        refuse_keys_within(options)
        conf = self._get_app().conf
        keep = conf.inference_keep_inputs
        queue = options.get("queue", getattr(self, "queue", None))
        # What is not inference never goes to a lane whose slots are the engine's.
        if not self.begins_by_itself and (apart := kept_apart(queue)) != queue:
            queue = options["queue"] = apart
        options.setdefault("argsrepr", shown(args or (), keep))
        options.setdefault("kwargsrepr", shown(kwargs or {}, keep))
        if options.get("expires") is None and self.expires is None:
            named = options.get("queue") or getattr(self, "queue", None) or conf.task_default_queue
            options["expires"] = deadline_seconds(lane_named(conf, _queue_name(named)))
        expires = options.get("expires") or self.expires
        send = super().apply_async
        if dedup_key is None:
            result = send(args, kwargs, **options)
        else:
            result = submit_once(self, dedup_key, lambda **once: send(args, kwargs, **{**options, **once}), options)
        if isinstance(result, LaneResult) and isinstance(expires, int | float):
            result.deadline = time.time() + expires
        return result

    def asked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Name and revision of the model that a request with these arguments asks, as far as they are known."""
        name = kwargs.get("model")
        return name if isinstance(name, str) else None, None

    def AsyncResult(self, task_id: str, **kwargs: Any) -> LaneResult:
        """The result of a request of this task, by its id."""
        return LaneResult(task_id, backend=self.backend, task_name=self.name, app=self.app, **kwargs)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Celery's retry: a new message, later. Its retries and our attempts are bounded together.

        Raises:
            MaxRetriesExceededError, or `exc`: there have been as many attempts as either allows, and it fails.
        """
        attempt = here()
        if attempt is not None and attempt.start.task_id == self.request.id and self.max_retries is not None:
            most = options.get("max_retries")
            budget = max(attempt.limit, (self.max_retries if most is None else most) + 1)
            if attempt.count >= budget:
                self.request.inference_final = True
                raise options.get("exc") or MaxRetriesExceededError(
                    f"{self.name}[{self.request.id}] has had {attempt.count} attempts; there are {budget}"
                )
        try:
            return super().retry(*args, **options)
        except Retry:
            raise
        except Reject as unsent:  # the new message could not be sent: this one is tried again
            raise Reject(unsent.reason, requeue=True) from unsent
        except Exception:
            self.request.inference_final = True
            raise


class InferenceTask(LaneTask):
    """A task that asks a model. `kind` is transformers' pipeline task; None serves any."""

    abstract = True
    begins_by_itself = True
    kind: ClassVar[str | None] = None
    # Both end as they should: one line in the log, without a traceback that nobody has to act upon.
    throws = (InvalidInput, Expired)
    # Results are the caller's data and stay out of logs and events; so do inputs.
    resultrepr_maxsize = 0

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Check the request as the worker will, then send it.

        Raises:
            InvalidInput: with the field, the limit and the nearest valid name; nothing was sent.
            TypeError: the arguments do not fit the task's signature.
        """
        given = take_apart(self.run, args or (), kwargs or {})
        spec = self.spec(given.model)
        rows, checked = check_inputs(spec, given.inputs, given.options)
        conf = self._get_app().conf
        token_count.check(spec, rows, Path(conf.inference_hub_cache))
        sent = rows if is_many(given.inputs) else rows[0]
        if not conf.inference_keep_inputs:
            options.setdefault("argsrepr", f"({len(rows)} inputs)")
            options.setdefault("kwargsrepr", repr({"model": spec.name}))
        if options.get("expires") is None and self.expires is None:
            after = seconds_until_due(options.get("countdown"), options.get("eta"))
            options["expires"] = deadline_seconds(lane_of(spec), spec.deadline_seconds, after)
        return super().apply_async((), {"inputs": sent, "model": spec.name, **checked}, **options)

    def call_directly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and now; needs an engine in this process. Raises InvalidInput for wrong arguments."""
        check_arguments(self, args, kwargs)
        return self.run(*args, **kwargs)

    def asked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """See LaneTask; the revision is the catalogue's."""
        try:
            name = take_apart(self.run, args, kwargs).model
        except (InvalidInput, TypeError):
            return super().asked(args, kwargs)
        try:
            spec = self.spec(name)
        except UnknownModel:
            return name if isinstance(name, str) else None, None
        return spec.name, spec.revision

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

    def answer(self, model: str | None, inputs: Any, options: dict[str, Any]) -> Any:
        """Run the request on the engine and wait for it; a list of inputs is answered by a list.

        Raises:
            InvalidInput: what `apply_async` would have refused; messages come from others, too.
            celery_inference.specs.errors.ModelsError: as the engine resolves the request.
        """
        spec = self.spec(model)
        rows, checked = check_inputs(spec, inputs, options)
        note(self.request, serving.describe(spec.name))
        deadline = instant(self.request.expires)
        with redeemed(self._get_app().conf, self.request, spec, rows, checked, deadline=deadline) as whole:
            results = serving.run(
                spec.name,
                whole,
                checked,
                request_id=self.request.id,
                deadline=deadline,
                delivery_tag=str((self.request.properties or {}).get("delivery_tag") or ""),
            )
        return results if is_many(inputs) else results[0]


def _queue_name(queue: Any) -> str | None:
    return str(getattr(queue, "name", queue)) if queue else None
