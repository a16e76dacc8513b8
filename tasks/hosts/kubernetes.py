"""A pod of Kubernetes: its deletion cost, by which a ReplicaSet chooses whom it ends first.

https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost; best effort, as it says there.
The pod's service account needs `patch` of `pods`. That a pod is to end it hears by SIGTERM.
"""

import socket
from pathlib import Path
from urllib.parse import quote

from tasks.hosts.host import HostError
from tasks.hosts.kubernetes_api import ACCOUNT, KubernetesApi, KubernetesError

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
BUSY_COST = "1000"


class KubernetesHost:
    """See Host."""

    protection_lasts_seconds: float | None = None

    def __init__(self, address: str, account: Path = ACCOUNT, pod: str | None = None) -> None:
        self._api, self._account = KubernetesApi(address, account), account
        self._pod = pod or socket.gethostname()  # of a pod it is the pod's name

    def protect(self, busy: bool) -> None:
        """See Host."""
        try:
            namespace = (self._account / "namespace").read_text().strip()
            path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(self._pod)}"
            self._api.ask("PATCH", path, {"metadata": {"annotations": {ANNOTATION: BUSY_COST if busy else None}}})
        except (KubernetesError, OSError) as error:
            raise HostError(str(error)) from None

    def notice(self) -> str | None:
        """See Host."""
        return None
