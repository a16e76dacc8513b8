"""Task classes: what every task of this application does on a lane, and what inference adds to it.

Sending is done here. What a worker does with a delivery is done by its `WorkerSide`, which `tasks` binds in a worker's
process; an application has none.

What checks and sends is imported with the first request: many processes name tasks and send none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from celery import Task
from celery.exceptions import Reject, Retry

from celery_inference.client.arguments import check_arguments, take_apart
from celery_inference.client.async_results.async_result import LaneResult
from celery_inference.client.canvas.signatures import bound, ours_is_sent, refuse_another_s, refuse_keys_within
from celery_inference.client.expiry import deadline_seconds, seconds_until_due
from celery_inference.client.lanes import kept_apart, lane_of_model, lane_or_default
from celery_inference.redaction import shown
from celery_inference.specs.errors import EngineStopped, Expired, InvalidInput, UnknownModel

if TYPE_CHECKING:
    from celery_inference.catalogue.catalogue import Catalogue
    from celery_inference.specs.model_spec import ModelSpec


class WorkerSide(Protocol):
    """What a worker does with a task; all in threads of its pool."""

    def deliver(self, task: LaneTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Work on one delivery, which the task's current request is of."""

    def refuse_retry(self, task: LaneTask, options: Mapping[str, Any]) -> None:
        """Raise when there have been as many attempts as are allowed."""

    def answer(
        self, task: InferenceTask, spec: ModelSpec, inputs: Any, options: dict[str, Any], return_errors: object
    ) -> Any:
        """Check the inputs, run them on the engine, and wait."""


class LaneTask(Task):
    """A task whose deliveries end as `tasks.execution.error_policy` says; other errors are tried again."""

    # Whether the task's own code says when its work starts; else that is when its code does.
    begins_by_itself: ClassVar[bool] = False
    # Results are the caller's data, and may hold inputs: they stay out of logs and events, where a task does not say
    # how many characters may be there.
    resultrepr_maxsize = 0
    worker_side: ClassVar[WorkerSide | None] = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One delivery, in a thread of the worker's pool; or a plain call."""
        request = self.request
        if self.worker_side is None or request.called_directly or request.is_eager or request._protected:
            return self.call_directly(*args, **kwargs)
        request._protected = 1  # a call of the task within itself is a plain one
        return self.worker_side.deliver(self, args, kwargs)

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
            AnotherApplication: it stands in a group, chain or chord with tasks of another Celery application.
        """
        refuse_keys_within(options)
        refuse_another_s(self._get_app(), self.name, options)
        conf = self._get_app().conf
        keep = conf.inference_keep_inputs
        queue = options.get("queue", getattr(self, "queue", None))
        # What is not inference never goes to a lane whose slots are the engine's.
        if not self.begins_by_itself and (apart := kept_apart(conf, queue)) != queue:
            queue = options["queue"] = apart
        options.setdefault("argsrepr", shown(args or (), keep))
        options.setdefault("kwargsrepr", shown(kwargs or {}, keep))
        if options.get("expires") is None and self.expires is None:
            named = options.get("queue") or getattr(self, "queue", None) or conf.task_default_queue
            options["expires"] = deadline_seconds(lane_or_default(conf, _queue_name(named)))
        expires = options.get("expires") or self.expires
        send = super().apply_async
        with ours_is_sent():
            if dedup_key is None:
                result = send(args, kwargs, **options)
            else:
                from celery_inference.client.deduplication import submit_once

                result = submit_once(self, dedup_key, lambda **once: send(args, kwargs, **{**options, **once}), options)
        if isinstance(result, LaneResult) and isinstance(expires, int | float):
            result.deadline = time.time() + expires
        return result

    def signature(self, *arguments: Any, **options: Any) -> Any:
        """As Celery's; it can be sent by this task's application alone."""
        return bound(super().signature(*arguments, **options), self.name)

    subtask = signature

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Django: send the request when the current transaction is committed, at once where there is none."""
        self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Django: `apply_async`, when the current transaction is committed. Raises ImportError without Django."""
        from django.db import transaction

        transaction.on_commit(lambda: self.apply_async(args, kwargs, **options))

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
        if self.worker_side is not None:
            self.worker_side.refuse_retry(self, options)
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
    """A task that asks a model. `pipeline_task` is transformers' pipeline task; None serves any."""

    abstract = True
    begins_by_itself = True
    pipeline_task: ClassVar[str | None] = None
    # Both end as they should: one line in the log, without a traceback that nobody has to act upon.
    throws = (InvalidInput, Expired)

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Check the request as the worker will, then send it; with `return_errors` also an input that is refused.

        Raises:
            InvalidInput: with the field, the limit and the nearest valid name; nothing was sent.
            TypeError: the arguments do not fit the task's signature.
        """
        from celery_inference.inputs import token_count
        from celery_inference.inputs.check import check_request

        given = take_apart(self.run, args or (), kwargs or {})
        spec = self.spec(given.model)
        rows, checked = check_request(spec, given.inputs, given.options, given.return_errors)
        conf = self._get_app().conf
        hub_cache = Path(conf.inference_hub_cache)

        def counted(row: Any) -> Any:
            token_count.check(spec, row, hub_cache)
            return row

        if not spec.in_force("truncation", checked):
            rows.each(counted)
        if rows.errors is not None:
            checked["return_errors"] = True
        if not conf.inference_keep_inputs:
            options.setdefault("argsrepr", f"({len(rows.values)} inputs)")
            options.setdefault("kwargsrepr", repr({"model": spec.name}))
        if options.get("expires") is None and self.expires is None:
            after = seconds_until_due(options.get("countdown"), options.get("eta"))
            options["expires"] = deadline_seconds(lane_of_model(conf, spec), spec.deadline_seconds, after)
        return super().apply_async((), {"inputs": rows.sent(), "model": spec.name, **checked}, **options)

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
        """The spec of the model that was asked for, or the pipeline task's default.

        Raises:
            UnknownModel: no such model, or one of another kind.
        """
        if model is None and self.pipeline_task is not None:
            return self._catalogue.default_for(self.pipeline_task)
        spec = self._catalogue.get(model or "")
        if self.pipeline_task is not None and spec.task != self.pipeline_task:
            serving = [other.name for other in self._catalogue if other.task == self.pipeline_task]
            problem = (
                f'"{spec.name}" serves {spec.task}, not {self.pipeline_task} ({", ".join(serving) or "none does"})'
            )
            raise UnknownModel.because("model", problem, allowed=serving)
        return spec

    def answer(self, model: str | None, inputs: Any, options: dict[str, Any], return_errors: object = False) -> Any:
        """Run the request on the engine and wait for it; a list of inputs is answered by a list.

        With `return_errors` that list holds items, as `celery_inference.inputs.rows` says.

        Raises:
            InvalidInput: what `apply_async` would have refused; messages come from others, too.
            EngineStopped: this process is no worker.
            celery_inference.errors.InferenceError: as the engine resolves the request.
        """
        if self.worker_side is None:
            raise EngineStopped("no engine runs in this process: send the request with .delay() to a worker")
        return self.worker_side.answer(self, self.spec(model), inputs, options, return_errors)

    @property
    def _catalogue(self) -> Catalogue:
        from celery_inference.client.catalogue import load

        return load(self._get_app().conf)


def _queue_name(queue: Any) -> str | None:
    return str(getattr(queue, "name", queue)) if queue else None
