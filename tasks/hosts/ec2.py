"""An EC2 instance: scale-in protection in its Auto Scaling group, and the notice before spot capacity goes.

The role of the host needs autoscaling:DescribeAutoScalingInstances and, on its group,
autoscaling:SetInstanceProtection; deploy/infra gives it both.
"""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from celery_inference.sqs.api.client_factory import make_client_of
from celery_inference.sqs.errors import NoRegionError
from tasks.hosts.host import HostError

CALL_SECONDS = 2.0
TOKEN_SECONDS = 21_600  # the longest that instance metadata gives
INSTANCE_ID = "/latest/meta-data/instance-id"
REGION = "/latest/meta-data/placement/region"
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html: to be asked each 5 s
SPOT_ACTION = "/latest/meta-data/spot/instance-action"


class Metadata:
    """The instance's metadata service, version 2. Not thread-safe."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._token, self._token_until = "", 0.0

    def get(self, path: str) -> str | None:
        """What stands at a path; None where nothing does.

        Raises:
            HostError: the service does not answer.
        """
        try:
            if time.monotonic() >= self._token_until:
                self._renew()
            return self._ask(path, "GET", {"X-aws-ec2-metadata-token": self._token})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            self._token_until = 0.0  # 401: it was not taken any more
            raise HostError(f"instance metadata: {path}: {error}") from None
        except (OSError, ValueError) as error:
            raise HostError(f"instance metadata: {path}: {error}") from None

    def _renew(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        self._token = self._ask("/latest/api/token", "PUT", headers)
        self._token_until = time.monotonic() + TOKEN_SECONDS / 2

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._address + path, method=method, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - of celeryconfig
            text: str = answer.read(65_536).decode()
            return text


class Ec2Host:
    """See Host. An instance that is in no group has notices, and nothing to be protected from."""

    protection_lasts_seconds: float | None = None

    def __init__(self, address: str, client: Any = None) -> None:
        self._metadata = Metadata(address)
        self._client = client
        self._instance: str | None = None
        self._group: str | None = None

    def protect(self, busy: bool) -> None:
        """See Host."""
        try:
            if self._instance is None:
                self._find()
            if self._group is None:
                return
            self._client.set_instance_protection(
                AutoScalingGroupName=self._group, InstanceIds=[self._instance], ProtectedFromScaleIn=busy
            )
        except (BotoCoreError, ClientError, NoRegionError) as error:
            raise HostError(f"scale-in protection: {error}") from None

    def notice(self) -> str | None:
        """See Host."""
        text = self._metadata.get(SPOT_ACTION)
        if text is None:
            return None
        try:
            action = json.loads(text)
            return f"EC2 will {action['action']} this host at {action['time']}"
        except (ValueError, TypeError, KeyError):
            return "EC2 will take this host"

    def _find(self) -> None:
        instance = self._metadata.get(INSTANCE_ID)
        if instance is None:
            raise HostError("instance metadata knows no instance id")
        if self._client is None:
            self._client = make_client_of(
                "autoscaling",
                region=self._metadata.get(REGION),
                read_timeout_seconds=CALL_SECONDS,
                connect_timeout_seconds=CALL_SECONDS,
                attempts=1,
            )
        answer = self._client.describe_auto_scaling_instances(InstanceIds=[instance])
        self._group = next((found["AutoScalingGroupName"] for found in answer["AutoScalingInstances"]), None)
        self._instance = instance
