"""What a worker process has, owned in one place: its steps are handed it, or the parts of it that they need."""

from typing import Any

from celery import Celery

from celery_inference.results.backend import Patience
from celery_inference.sqs.consumer.pause import PAUSES, Pauses
from tasks.execution.attempts import RunningAttempts
from tasks.execution.background import BackgroundExecutor
from tasks.execution.claimed_inputs import ClaimedInputs
from tasks.execution.engine_client import EngineClient
from tasks.execution.revocations import Revocations, revoked_in
from tasks.resilience.circuit_breaker import CircuitBreaker
from tasks.resilience.host_outliers import HostOutliers
from tasks.resilience.model_availability import ModelAvailability
from tasks.resilience.readiness import Readiness
from tasks.resilience.request_ages import RequestAges


class WorkerContext:
    """One a process, at its application's `worker_context`; tests make one with parts of their own.

    What Celery itself makes, such as a delivery's request, finds it there; all else is handed it. Making it starts no
    thread and asks nobody.
    """

    def __init__(
        self,
        app: Celery,
        *,
        engine: EngineClient | None = None,
        claimed_inputs: ClaimedInputs | None = None,
        revocations: Revocations | None = None,
        pauses: Pauses = PAUSES,
    ) -> None:
        self.app = app
        self.engine = engine or EngineClient()
        self.claimed_inputs = claimed_inputs or ClaimedInputs(self.engine)
        self.revocations = revocations or Revocations(revoked_in(app))
        self.attempts = RunningAttempts()
        self.background = BackgroundExecutor("background")
        self.pauses = pauses
        self.patience = Patience(pauses)
        self.host_outliers = HostOutliers(pauses)
        self.models = ModelAvailability()
        self.request_ages = RequestAges()
        self.consumer: Any = None  # Celery's, once it is made
        self.breaker: CircuitBreaker | None = None  # from when the worker is ready
        self.readiness = Readiness(app, pauses, self.patience, self._device_states)

    def _device_states(self) -> dict[str, str] | None:
        engine = self.engine.engine
        return None if engine is None else {name: at["state"] for name, at in engine.stats()["devices"].items()}
