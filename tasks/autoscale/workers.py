"""What the workers of an application say of themselves, by Celery's `inspect stats`."""

from typing import Any


class InspectedWorkers:
    """Asks all workers over the broadcast; without one, nobody is known to be busy and nobody counts."""

    def __init__(self, app: Any, timeout_seconds: float = 2.0) -> None:
        self._app, self._timeout_seconds = app, timeout_seconds

    def ask(self) -> tuple[int, int | None]:
        """See Workers. Workers that do not answer in time count as not busy; their platform's protection is theirs."""
        if not self._app.conf.worker_enable_remote_control:
            return 0, None
        answers = self._app.control.inspect(timeout=self._timeout_seconds).stats() or {}
        engines = [_engine(answer) for answer in answers.values()]
        busy = sum(bool(engine.get("held", {}).get("requests")) for engine in engines)
        finished = [model.get("rows") for engine in engines for model in engine.get("models", {}).values()]
        known = [rows for rows in finished if isinstance(rows, int)]
        return busy, sum(known) if known else None


def _engine(answer: Any) -> dict[str, Any]:
    pool = answer.get("pool") if isinstance(answer, dict) else None
    engine = pool.get("engine") if isinstance(pool, dict) else None
    return engine if isinstance(engine, dict) else {}
