"""A task of ECS: task scale-in protection, by the agent's own endpoint.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html; the task's role
needs ecs:UpdateTaskProtection. That a task is to end it hears by SIGTERM.
"""

import json
import urllib.error
import urllib.request

from tasks.hosts.host import HostError

CALL_SECONDS = 2.0
LASTS_SECONDS = 3_600


class EcsHost:
    """See Host. `address` is what ECS_AGENT_URI says."""

    protection_lasts_seconds: float | None = float(LASTS_SECONDS)

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/") + "/task-protection/v1/state"

    def protect(self, busy: bool) -> None:
        """See Host."""
        wish: dict[str, object] = {"ProtectionEnabled": busy}
        if busy:
            wish["ExpiresInMinutes"] = LASTS_SECONDS // 60
        request = urllib.request.Request(  # noqa: S310 - the address comes from celeryconfig
            self._url, method="PUT", data=json.dumps(wish).encode(), headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310
                said = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise HostError(f"task protection: {error}") from None
        # The agent answers 200 with a failure inside.
        if not isinstance(said, dict) or "protection" not in said:
            raise HostError(f"task protection: {json.dumps(said)[:500]}")

    def notice(self) -> str | None:
        """See Host."""
        return None
