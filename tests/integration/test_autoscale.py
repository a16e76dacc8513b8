"""The scaler against an embedded SQS server, moto's Auto Scaling and ECS, and an API server like Kubernetes'."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from celery_inference import app
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.errors import QueueMissingError
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.provisioning import create
from celery_inference.sqs_local.child_process import LocalServer
from tasks.autoscale.fleets import AutoScalingGroup, EcsService, FleetError, KubernetesDeployment, Size, fleet_of
from tasks.autoscale.policy import Goal, Policy
from tasks.autoscale.scaler import Scaler
from tasks.autoscale.stop_flag import StopFlag
from tasks.autoscale.workers import InspectedWorkers
from tasks.commands.autoscale import autoscale

GOAL = Goal(requests_per_second=1.0, target_wait_seconds=10.0, start_seconds=0.0, settle_seconds=0.0, maximum=5)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


@pytest.fixture
def group(aws: None) -> AutoScalingGroup:
    ec2 = boto3.client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName="gpu", LaunchTemplateData={"ImageId": "ami-0123456789abcdef0", "InstanceType": "g5.xlarge"}
    )
    boto3.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="gpu",
        MinSize=0,
        MaxSize=5,
        AvailabilityZones=["eu-central-1a"],
        LaunchTemplate={"LaunchTemplateName": "gpu"},
    )
    return AutoScalingGroup("gpu")


class Answers:
    """Workers that say what the test wants."""

    def __init__(self, busy: int = 0, finished: int | None = None) -> None:
        self.busy, self.finished = busy, finished

    def ask(self) -> tuple[int, int | None]:
        return self.busy, self.finished


class Replicas:
    """A fleet that only counts."""

    def __init__(self, workers: int = 0) -> None:
        self.workers, self.asked = workers, 0

    def size(self) -> Size:
        return Size(self.workers, self.workers)

    def resize(self, workers: int) -> None:
        self.workers, self.asked = workers, self.asked + 1


def test_a_group_is_read_and_resized(group: AutoScalingGroup) -> None:
    assert group.size() == Size(0, 0)
    group.resize(3)
    assert group.size() == Size(3, 3)


def test_a_group_that_is_not_there_is_one_sentence(aws: None) -> None:
    with pytest.raises(FleetError, match="no Auto Scaling group 'gone'"):
        AutoScalingGroup("gone").size()


def test_an_ecs_service_is_read_and_resized(aws: None) -> None:
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName="gpu")
    ecs.register_task_definition(family="worker", containerDefinitions=[{"name": "worker", "image": "x", "memory": 1}])
    ecs.create_service(cluster="gpu", serviceName="workers", taskDefinition="worker", desiredCount=1)
    service = EcsService("gpu/workers")
    service.resize(4)
    assert service.size().ordered == 4
    with pytest.raises(FleetError, match="no ECS service 'others'"):
        EcsService("gpu/others").size()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesDeployment]:
    """An API server that knows one Deployment's scale, as apps/v1 has it."""
    scale: dict[str, Any] = {"spec": {}, "status": {"replicas": 0}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_PATCH(self) -> None:
            length = int(self.headers["Content-Length"])
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, patch: dict[str, Any]) -> None:
            known = self.path == "/apis/apps/v1/namespaces/ml/deployments/worker/scale"
            allowed = self.headers["Authorization"] == "Bearer a token"
            scale["spec"] |= patch.get("spec", {})
            body = json.dumps(scale).encode()
            self.send_response(200 if known and allowed else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    (tmp_path / "token").write_text("a token\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield KubernetesDeployment("ml/worker", f"http://127.0.0.1:{server.server_port}", tmp_path)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_deployment_is_read_and_resized(cluster: KubernetesDeployment) -> None:
    assert cluster.size() == Size(0, 0)
    cluster.resize(2)
    assert cluster.size() == Size(2, 0)


def test_what_kubernetes_refuses_is_one_sentence(cluster: KubernetesDeployment, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    with pytest.raises(FleetError, match="403"):
        cluster.resize(2)


@pytest.mark.parametrize("text", ["", "gpu", "asg:", "vm:gpu", "ecs:gpu", "kubernetes:worker", "kubernetes:ml/worker"])
def test_fleets_that_cannot_be_are_one_sentence(text: str, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(FleetError):
        fleet_of(text)


@pytest.fixture
def sqs() -> Iterator[Any]:
    with LocalServer() as server:
        client = make_client(endpoint_url=server.endpoint_url, region="us-east-1", access_key="any", secret_key="any")
        for lane in LANES:
            create(client, lane)
        yield client


def fill(sqs: Any, count: int) -> str:
    url = str(sqs.get_queue_url(QueueName=LANES[0].name)["QueueUrl"])
    for start in range(0, count, 10):
        sqs.send_message_batch(
            QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(start, min(count, start + 10))]
        )
    return url


def test_a_backlog_wakes_a_real_group_and_an_empty_queue_lets_it_sleep(group: AutoScalingGroup, sqs: Any) -> None:
    scaler = Scaler(Policy(GOAL), group, Answers(), sqs=sqs, lanes=LANES, store=None)
    url = fill(sqs, 35)
    assert scaler.act(scaler.look(), lease_seconds=30).wanted == 4
    assert group.size().ordered == 4
    sqs.purge_queue(QueueUrl=url)
    assert scaler.act(scaler.look(), lease_seconds=30).wanted == 0
    assert group.size().ordered == 0


def test_busy_workers_stay_although_the_queue_looks_empty(sqs: Any) -> None:
    fleet = Replicas(3)
    scaler = Scaler(Policy(GOAL), fleet, Answers(busy=2), sqs=sqs, lanes=LANES, store=None)
    scaler.act(scaler.look(), lease_seconds=30)
    assert fleet.workers == 2


def test_of_two_scalers_one_acts_and_the_other_takes_over(sqs: Any, tmp_path: Path) -> None:
    store = SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'results.sqlite'}").store
    fleet = Replicas()
    first = Scaler(Policy(GOAL), fleet, Answers(), sqs=sqs, lanes=LANES, store=store)
    fill(sqs, 20)
    assert store.hold("autoscale", "another host's", 60.0)
    decision = first.act(first.look(), lease_seconds=30)
    assert (fleet.asked, decision.why_not) == (0, "another scaler holds the lease")
    store.let_go("autoscale", "another host's")
    first.act(first.look(), lease_seconds=30)
    assert (fleet.asked, fleet.workers) == (1, 2)


def test_an_sqs_that_is_away_changes_nothing(sqs: Any) -> None:
    fleet = Replicas(3)
    away = make_client(endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key="any", secret_key="any")
    scaler = Scaler(Policy(GOAL), fleet, Answers(), sqs=away, lanes=LANES, store=None)
    stop = StopFlag()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        stop.set()

    scaler.run(stop, 1.0, say, dry_run=False)
    assert fleet.asked == 0
    assert said[0].startswith("nothing is changed: ")


def test_a_missing_queue_is_no_empty_one(sqs: Any) -> None:
    """As a region or an account that is not the lanes' shows it."""
    fleet = Replicas(3)
    with LocalServer() as elsewhere:
        empty = make_client(endpoint_url=elsewhere.endpoint_url, region="us-east-1", access_key="any", secret_key="any")
        scaler = Scaler(Policy(GOAL), fleet, Answers(), sqs=empty, lanes=LANES, store=None)
        with pytest.raises(QueueMissingError, match="check region, account and endpoint"):
            scaler.look()
    assert fleet.asked == 0


def run(*arguments: str) -> Any:
    return CliRunner().invoke(autoscale, list(arguments), obj=SimpleNamespace(app=app))


def test_the_command_prints_what_it_would_ask_and_asks_nothing(
    group: AutoScalingGroup, sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.commands.autoscale.client_of", lambda _: sqs)
    monkeypatch.setattr(InspectedWorkers, "ask", lambda _: (0, None))
    fill(sqs, 35)
    limits = ("--requests-per-second", "1", "--target-wait", "10", "--start", "0", "--maximum", "5")
    result = run("asg:gpu", *limits, "--once", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "35 visible, 0 in flight; 0 of 0 workers run, 0 busy; wanted 4 (dry run)" in result.output
    assert group.size().ordered == 0


@pytest.mark.parametrize("dry_run", [("--dry-run",), ()])
def test_one_look_that_fails_ends_with_status_1(
    group: AutoScalingGroup, sqs: Any, monkeypatch: pytest.MonkeyPatch, dry_run: tuple[str, ...]
) -> None:
    monkeypatch.setattr("tasks.commands.autoscale.client_of", lambda _: sqs)
    result = run("asg:no-such", "--requests-per-second", "1", "--maximum", "5", "--once", *dry_run)
    assert "nothing is changed: there is no Auto Scaling group 'no-such'" in result.output
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vm:gpu", "--requests-per-second", "1", "--maximum", "5"), "a fleet is asg:NAME"),
        (("asg:gpu", "--requests-per-second", "0", "--maximum", "5"), "must be above 0"),
        (("asg:gpu", "--requests-per-second", "1", "--maximum", "0"), "no fleet is at least 0 and at most 0"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.count("\n") == 1
