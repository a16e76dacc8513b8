"""The fleets that a scaler drives, behind one small interface. Each blocks on its API; each raises FleetError."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from celery_inference.settings import kubernetes_address
from celery_inference.sqs.api.client_factory import make_client_of
from celery_inference.sqs.errors import NoRegionError
from tasks.hosts.kubernetes_api import ACCOUNT, KubernetesApi, KubernetesError

CALL_SECONDS = 10.0


class FleetError(Exception):
    """The fleet's API refused or did not answer; one sentence."""


@dataclass(frozen=True, slots=True)
class Size:
    """`ordered` workers were asked for; `running` of them are in service, as the platform sees it."""

    ordered: int
    running: int


class Fleet(Protocol):
    """Something that runs a number of workers. Which of them it ends is its own choice."""

    def size(self) -> Size:
        """What there is."""

    def resize(self, workers: int) -> None:
        """Ask for so many."""


class AutoScalingGroup:
    """An EC2 Auto Scaling group. Which hosts go is its choice, among those that are not protected (`tasks/hosts`)."""

    def __init__(self, name: str, client: Any = None) -> None:
        self._name = name
        self._client = client or _client("autoscaling")

    def size(self) -> Size:
        """See Fleet."""
        answer = _call(self._client.describe_auto_scaling_groups, AutoScalingGroupNames=[self._name])
        if not answer["AutoScalingGroups"]:
            raise FleetError(f"there is no Auto Scaling group {self._name!r}")
        group = answer["AutoScalingGroups"][0]
        running = sum(instance["LifecycleState"] == "InService" for instance in group["Instances"])
        return Size(group["DesiredCapacity"], running)

    def resize(self, workers: int) -> None:
        """See Fleet."""
        _call(
            self._client.set_desired_capacity,
            AutoScalingGroupName=self._name,
            DesiredCapacity=workers,
            HonorCooldown=False,
        )


class EcsService:
    """An ECS service, named CLUSTER/SERVICE."""

    def __init__(self, name: str, client: Any = None) -> None:
        self._cluster, _, self._service = name.partition("/")
        if not self._service:
            raise FleetError(f"an ECS service is named CLUSTER/SERVICE, not {name!r}")
        self._client = client or _client("ecs")

    def size(self) -> Size:
        """See Fleet."""
        answer = _call(self._client.describe_services, cluster=self._cluster, services=[self._service])
        if not answer["services"]:
            raise FleetError(f"there is no ECS service {self._service!r} in {self._cluster!r}")
        service = answer["services"][0]
        return Size(service["desiredCount"], service["runningCount"])

    def resize(self, workers: int) -> None:
        """See Fleet."""
        _call(self._client.update_service, cluster=self._cluster, service=self._service, desiredCount=workers)


class KubernetesDeployment:
    """A Deployment, named NAMESPACE/NAME, through the API server of the cluster that this process runs in.

    Its service account needs `get` and `patch` of `deployments/scale`. Of its pods Kubernetes ends those that are not
    busy first (`tasks/hosts/kubernetes.py`); one that is ended finishes what runs within its grace period, and releases
    the rest.
    """

    def __init__(self, name: str, server: str | None = None, account: Path = ACCOUNT) -> None:
        namespace, _, deployment = name.partition("/")
        if not deployment:
            raise FleetError(f"a Deployment is named NAMESPACE/NAME, not {name!r}")
        self._api = KubernetesApi(server or _kubernetes_server(), account)
        self._path = f"/apis/apps/v1/namespaces/{quote(namespace)}/deployments/{quote(deployment)}/scale"

    def size(self) -> Size:
        """See Fleet."""
        scale = self._ask("GET")
        return Size(int(scale["spec"].get("replicas", 0)), int(scale.get("status", {}).get("replicas", 0)))

    def resize(self, workers: int) -> None:
        """See Fleet."""
        self._ask("PATCH", {"spec": {"replicas": workers}})

    def _ask(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return self._api.ask(method, self._path, body)
        except KubernetesError as error:
            raise FleetError(str(error)) from None


FLEETS: dict[str, Callable[[str], Fleet]] = {
    "asg": AutoScalingGroup,
    "ecs": EcsService,
    "kubernetes": KubernetesDeployment,
}


def fleet_of(text: str) -> Fleet:
    """The fleet in `asg:NAME`, `ecs:CLUSTER/SERVICE` or `kubernetes:NAMESPACE/DEPLOYMENT`.

    Raises:
        FleetError: it is none of these.
    """
    kind, _, name = text.partition(":")
    if kind not in FLEETS or not name:
        raise FleetError(f"a fleet is asg:NAME, ecs:CLUSTER/SERVICE or kubernetes:NAMESPACE/DEPLOYMENT, not {text!r}")
    try:
        return FLEETS[kind](name)
    except (BotoCoreError, NoRegionError) as error:
        raise FleetError(f"{kind}: {error}") from None


def _client(service: str) -> Any:
    return make_client_of(service, read_timeout_seconds=CALL_SECONDS, connect_timeout_seconds=CALL_SECONDS, attempts=5)


def _call(operation: Any, **arguments: Any) -> Any:
    try:
        return operation(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise FleetError(str(error)) from None


def _kubernetes_server() -> str:
    address = kubernetes_address()
    if not address:
        raise FleetError("this process does not run in a Kubernetes cluster")
    return address
