"""What makes the library's Celery application a worker's: its tasks run on this process's engine."""

import time
from collections.abc import Mapping
from typing import Any

from celery.exceptions import MaxRetriesExceededError

from celery_inference.client.async_results.provenance import record_provenance
from celery_inference.client.expiry import instant
from celery_inference.client.task import InferenceTask, LaneTask
from celery_inference.inputs.check import check_request
from celery_inference.specs.model_spec import ModelSpec
from tasks.context import WorkerContext
from tasks.execution.execution import Execution
from tasks.execution.request import DeliveryRequest


class EngineSide:
    """See celery_inference.client.task.WorkerSide; it works with the context of the task's application."""

    def deliver(self, task: LaneTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One delivery, from the pool's thread that has it to its settlement."""
        context: WorkerContext = task.app.worker_context
        sent_at = ((task.request.properties or {}).get("delivery_info") or {}).get("sent_at")
        if isinstance(model := kwargs.get("model"), str) and sent_at:
            context.engine.note_wait(model, time.time() - float(sent_at))
        return Execution(task, context.attempts, context.revocations, context.host_outliers).work(args, kwargs)

    def refuse_retry(self, task: LaneTask, options: Mapping[str, Any]) -> None:
        """Raises MaxRetriesExceededError, or the option `exc`, when neither Celery nor we allow another attempt."""
        attempt = task.app.worker_context.attempts.here()
        if attempt is None or attempt.start.task_id != task.request.id or task.max_retries is None:
            return
        most = options.get("max_retries")
        budget = max(attempt.limit, (task.max_retries if most is None else most) + 1)
        if attempt.count >= budget:
            task.request.inference_final = True
            raise options.get("exc") or MaxRetriesExceededError(
                f"{task.name}[{task.request.id}] has had {attempt.count} attempts; there are {budget}"
            )

    def answer(
        self, task: InferenceTask, spec: ModelSpec, inputs: Any, options: dict[str, Any], return_errors: object
    ) -> Any:
        """Run the inputs on this process's engine; raises as `EngineClient.run` and `ClaimedInputs.redeemed` do."""
        rows, checked = check_request(spec, inputs, options, return_errors)
        request = task.request
        context: WorkerContext = task.app.worker_context
        record_provenance(request, context.engine.describe(spec.name))
        deadline = instant(request.expires)
        with context.claimed_inputs.redeemed(task.app.conf, request, spec, rows, deadline=deadline):
            results = context.engine.run(
                spec.name,
                rows,
                checked,
                request_id=request.id,
                deadline=deadline,
                delivery_tag=str((request.properties or {}).get("delivery_tag") or ""),
            )
        return rows.answer(results)


def bind(app: Any) -> WorkerContext:
    """From now on this process's tasks are a worker's, of this application, whose `worker_context` is returned."""
    app.worker_context = context = WorkerContext(app)
    LaneTask.worker_side = EngineSide()
    LaneTask.Request = DeliveryRequest
    return context


def adopt_tasks(app: Any) -> None:
    """Let the deliveries of every task end as those of ours do, also where a project gives its tasks a base of its own.

    The task keeps what its base overrides.
    """
    for task in app.tasks.values():
        base = type(task)
        if not issubclass(base, LaneTask):
            names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
            task.__class__ = type(base.__name__, (base, LaneTask), names)
