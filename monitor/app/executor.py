"""Flower's calls that ask SQS or the result store: one that is away is 503 and a sentence, never 500."""

from typing import Any

from flower.utils.blocking import BlockingOperationRunner

# Our result store's own errors are of the system's.
_AWAY = (OSError,)


class HonestRunner(BlockingOperationRunner):
    """Flower's, which knows the errors of Celery and kombu alone."""

    async def run(
        self, operation: str, target: Any, func: Any, *args: Any, connection_errors: Any = (), **kwargs: Any
    ) -> Any:
        """Run it in a thread; raises tornado's HTTPError 503 when what it asks is away."""
        errors = (*connection_errors, *_AWAY)
        return await super().run(operation, target, func, *args, connection_errors=errors, **kwargs)
