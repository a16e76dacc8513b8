"""Workers on hosts of EC2, ECS and Kubernetes: moto's Auto Scaling, and small servers that answer as platforms do."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from celery_inference import feature_extraction
from demo.stack import Stack
from tasks.hosts.ecs import EcsHost
from tasks.hosts.guard import HOST_IS_GOING
from tasks.hosts.host import HostError
from tasks.hosts.kubernetes import ANNOTATION, KubernetesHost
from tests.support.client import client_of

SECONDS = 60
REGION = "eu-central-1"


class Platform:
    """Answers what `answers` has for a path, and notes each request; ends with the context."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                platform.requests.append((self.command, self.path, dict(self.headers), body))
                answer = platform.answers.get(self.path)
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_PATCH = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Platform":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as platform:
        yield platform


@pytest.fixture
def autoscaling() -> Iterator[Any]:
    """A client of moto's Auto Scaling with one group of one instance."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    facts = {
        "endpoint_url": f"http://{host}:{port}",
        "region_name": REGION,
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",
    }
    template = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "g5.xlarge"}
    boto3.client("ec2", **facts).create_launch_template(LaunchTemplateName="gpu", LaunchTemplateData=template)
    client = boto3.client("autoscaling", **facts)
    client.create_auto_scaling_group(
        AutoScalingGroupName="gpu",
        MinSize=1,
        MaxSize=5,
        AvailabilityZones=[f"{REGION}a"],
        LaunchTemplate={"LaunchTemplateName": "gpu"},
    )
    yield client
    server.stop()


def instance(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_auto_scaling_instances()["AutoScalingInstances"][0]
    return found


def eventually(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def test_a_busy_host_is_not_scaled_in_and_a_spot_notice_ends_its_worker(
    tmp_path: Path, catalogue_of_one: Path, platform: Platform, autoscaling: Any
) -> None:
    platform.answers = {
        "/latest/api/token": "a token",
        "/latest/meta-data/instance-id": instance(autoscaling)["InstanceId"],
        "/latest/meta-data/placement/region": REGION,
    }
    # What a worker left that was killed here.
    protect = {"AutoScalingGroupName": "gpu", "InstanceIds": [instance(autoscaling)["InstanceId"]]}
    autoscaling.set_instance_protection(**protect, ProtectedFromScaleIn=True)
    settings = {
        "CELERY_INFERENCE_HOST": "ec2",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": platform.address,
        "AWS_ENDPOINT_URL_AUTO_SCALING": autoscaling.meta.endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    with Stack(tmp_path / "stack", catalogue=catalogue_of_one, **settings) as stack, client_of(stack):
        stack.start_server()
        worker = stack.start_worker()
        assert instance(autoscaling)["ProtectedFromScaleIn"] is False
        feature_extraction.delay("please hang for ever")
        eventually(lambda: instance(autoscaling)["ProtectedFromScaleIn"] is True, "the host is not protected")
        platform.answers["/latest/meta-data/spot/instance-action"] = {"action": "terminate", "time": "12:00"}
        assert worker.wait(SECONDS) == 0
        assert "EC2 will terminate this host at 12:00: this worker stops" in worker.text()
        # Each question had a token, as version 2 of instance metadata wants it.
        asked = [headers for _, path, headers, _ in platform.requests if path.startswith("/latest/meta-data")]
        assert {
            headers.get("X-Aws-Ec2-Metadata-Token") or headers.get("X-aws-ec2-metadata-token") for headers in asked
        } == {"a token"}
        again = stack.start("again", "celery", "-A", "tasks", "worker")
        assert again.wait(SECONDS) == HOST_IS_GOING
        assert "no worker is started" in again.text()
        assert "Traceback" not in again.text()


def test_a_task_of_ecs_is_protected_by_its_agent(platform: Platform) -> None:
    path = "/api/0a1b/task-protection/v1/state"
    platform.answers[path] = {"protection": {"ProtectionEnabled": True, "TaskArn": "arn:aws:ecs:…"}}
    host = EcsHost(f"{platform.address}/api/0a1b")
    host.protect(True)
    host.protect(False)
    assert [(method, body) for method, _, _, body in platform.requests] == [
        ("PUT", {"ProtectionEnabled": True, "ExpiresInMinutes": 60}),
        ("PUT", {"ProtectionEnabled": False}),
    ]
    platform.answers[path] = {"failure": {"Arn": "arn:aws:ecs:…", "Reason": "DEPLOYMENT_BLOCKED"}}
    with pytest.raises(HostError, match="DEPLOYMENT_BLOCKED"):
        host.protect(True)


def test_a_pod_that_works_costs_more_to_delete(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token\n")
    (tmp_path / "namespace").write_text("ml\n")
    path = "/api/v1/namespaces/ml/pods/worker-7d9f"
    platform.answers[path] = {"kind": "Pod"}
    host = KubernetesHost(platform.address, tmp_path, "worker-7d9f")
    host.protect(True)
    host.protect(False)
    costs = [body["metadata"]["annotations"][ANNOTATION] for _, _, _, body in platform.requests]
    assert costs == ["1000", None]
    method, asked, headers, _ = platform.requests[0]
    assert (method, asked) == ("PATCH", path)
    assert headers["Authorization"] == "Bearer a token"
    assert headers["Content-Type"] == "application/merge-patch+json"
    with pytest.raises(HostError, match="404"):
        KubernetesHost(platform.address, tmp_path, "gone").protect(True)
