"""The API server of the Kubernetes cluster that this process runs in, as its pod's service account."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CALL_SECONDS = 10.0
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubernetesError(Exception):
    """The API server refused or did not answer; one sentence."""


class KubernetesApi:
    """Blocks on each call, CALL_SECONDS at most."""

    def __init__(self, address: str, account: Path = ACCOUNT) -> None:
        self._address, self._account = address, account

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object at a path, after a merge patch where there is a body.

        Raises:
            KubernetesError: it was refused, or nobody answered.
        """
        request = urllib.request.Request(  # noqa: S310 - the address comes from the pod's environment
            self._address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            # The token is read each time: Kubernetes renews it.
            headers={
                "Authorization": f"Bearer {self._token()}",
                "Content-Type": "application/merge-patch+json",
            },
        )
        authority = self._account / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority)) if self._address.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS, context=context) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise KubernetesError(f"Kubernetes: {method} {path}: {error}") from None
        return found

    def _token(self) -> str:
        try:
            return (self._account / "token").read_text().strip()
        except OSError as error:
            raise KubernetesError(f"Kubernetes: no token of a service account: {error}") from None
