"""What makes the library's Celery application a worker's: its tasks run on this process's engine."""

from collections.abc import Mapping
from typing import Any

from celery.exceptions import MaxRetriesExceededError

from celery_inference.client.async_results.provenance import record_provenance
from celery_inference.client.expiry import instant
from celery_inference.client.task import InferenceTask, LaneTask
from celery_inference.inputs.check import check_inputs, is_many, numbering
from celery_inference.specs.model_spec import ModelSpec
from tasks.execution import engine_client
from tasks.execution.attempts import here
from tasks.execution.claimed_inputs import redeemed
from tasks.execution.execution import Execution
from tasks.execution.request import DeliveryRequest


class EngineSide:
    """See celery_inference.client.task.WorkerSide."""

    def deliver(self, task: LaneTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One delivery, from the pool's thread that has it to its settlement."""
        return Execution(task).work(args, kwargs)

    def refuse_retry(self, task: LaneTask, options: Mapping[str, Any]) -> None:
        """Raises MaxRetriesExceededError, or the option `exc`, when neither Celery nor we allow another attempt."""
        attempt = here()
        if attempt is None or attempt.start.task_id != task.request.id or task.max_retries is None:
            return
        most = options.get("max_retries")
        budget = max(attempt.limit, (task.max_retries if most is None else most) + 1)
        if attempt.count >= budget:
            task.request.inference_final = True
            raise options.get("exc") or MaxRetriesExceededError(
                f"{task.name}[{task.request.id}] has had {attempt.count} attempts; there are {budget}"
            )

    def answer(self, task: InferenceTask, spec: ModelSpec, inputs: Any, options: dict[str, Any]) -> Any:
        """Run the inputs on this process's engine; raises as `engine_client.run` and `redeemed` do."""
        rows, checked = check_inputs(spec, inputs, options)
        request = task.request
        record_provenance(request, engine_client.describe(spec.name))
        deadline = instant(request.expires)
        with (
            numbering(len(rows) > 1),
            redeemed(task.app.conf, request, spec, rows, checked, deadline=deadline) as whole,
        ):
            results = engine_client.run(
                spec.name,
                whole,
                checked,
                request_id=request.id,
                deadline=deadline,
                delivery_tag=str((request.properties or {}).get("delivery_tag") or ""),
            )
        return results if is_many(inputs) else results[0]


def bind() -> None:
    """From now on this process's tasks are a worker's."""
    LaneTask.worker_side = EngineSide()
    LaneTask.Request = DeliveryRequest
