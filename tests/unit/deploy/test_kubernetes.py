"""The Kubernetes manifests against Kubernetes' own schemas, KEDA's keys, and what they say of this project."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

import celeryconfig
from celery_inference.sqs.lanes import LANES
from tasks.commands.autoscale import autoscale
from tests.support.keda_schema import SCHEMAS

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.37")  # the oldest that EKS still takes, and the newest with schemas here


class Strict(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which PyYAML takes the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key stands twice: {keys}", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def documents() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.load_all(file.read_text(), Loader=Strict):
            name = f"{file.stem}/{document['kind']}/{document['metadata']['name']}"
            yield pytest.param(document, id=name)


DOCUMENTS = list(documents())
ALL: list[dict[str, Any]] = [parameter.values[0] for parameter in DOCUMENTS]


def complaints(document: dict[str, Any]) -> list[str]:
    if document["apiVersion"].startswith("keda.sh/"):
        validator = jsonschema.Draft202012Validator(SCHEMAS[document["kind"]])
        return [error.message for error in validator.iter_errors(document)]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version}: {error.message}")
    return found


def the(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in ALL if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in ALL if each["kind"] == "Deployment"]


def test_a_key_that_stands_twice_is_found() -> None:
    with pytest.raises(yaml.constructor.ConstructorError, match="a key stands twice"):
        yaml.load("data: {A: one, B: two, A: three}", Loader=Strict)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_kubernetes_takes_it(document: dict[str, Any]) -> None:
    assert complaints(document) == []


def _misspell_grace(worker: dict[str, Any]) -> None:
    pod = worker["spec"]["template"]["spec"]
    pod["terminationGracePeriodSecond"] = pod.pop("terminationGracePeriodSeconds")


def _text_for_port(worker: dict[str, Any]) -> None:
    worker["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "8080"


def _misspell_in_flight(scaled: dict[str, Any]) -> None:
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    metadata["scaleOnInflight"] = metadata.pop("scaleOnInFlight")


def _number_for_text(scaled: dict[str, Any]) -> None:
    scaled["spec"]["triggers"][0]["metadata"]["queueLength"] = 1200


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("Deployment", _misspell_grace),
        ("Deployment", _text_for_port),
        ("ScaledObject", _misspell_in_flight),
        ("ScaledObject", _number_for_text),
    ],
)
def test_a_fault_is_found(kind: str, fault: Callable[[dict[str, Any]], None]) -> None:
    document = deepcopy(the(kind, "worker"))
    fault(document)
    assert complaints(document)


def test_workers_have_time_to_stop_and_are_asked_where_they_answer() -> None:
    pod = the("Deployment", "worker")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= celeryconfig.inference_stop_seconds + 15
    (container,) = pod["containers"]
    port = container["ports"][0]
    assert container["args"][container["args"].index("--health-port") + 1] == f"0.0.0.0:{port['containerPort']}"
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/ready",
        "readiness": "/ready",
        "liveness": "/live",
    }
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_no_pod_can_do_more_than_it_must() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        # A Service named flower would set FLOWER_PORT, which Flower reads as its own option.
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert re.search(r"@sha256:", container["image"])
            assert "memory" in container["resources"]["limits"]
    rules = [rule for each in ALL if each["kind"] == "Role" for rule in each["rules"]]
    assert sorted((rule["resources"], rule["verbs"]) for rule in rules) == [
        (["deployments/scale"], ["get", "patch"]),
        (["pods"], ["patch"]),
    ]


def test_accounts_are_the_ones_that_pods_name() -> None:
    accounts = {each["metadata"]["name"]: each["metadata"] for each in ALL if each["kind"] == "ServiceAccount"}
    assert {pod["serviceAccountName"] for pod in pods()} == set(accounts)
    for account in accounts.values():
        assert account["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")


def test_keda_counts_every_lane_that_shares_the_gpu_with_what_is_in_flight() -> None:
    spec = the("ScaledObject", "worker")["spec"]
    queues = [trigger["metadata"]["queueURL"].rpartition("/")[2] for trigger in spec["triggers"]]
    assert sorted(queues) == sorted(lane.name for lane in LANES if lane.consumer == "worker" and not lane.own_slots)
    assert {trigger["metadata"]["scaleOnInFlight"] for trigger in spec["triggers"]} == {"true"}
    names = [trigger["name"] for trigger in spec["triggers"]]
    assert spec["advanced"]["scalingModifiers"]["formula"] == " + ".join(names)
    assert spec["minReplicaCount"] == 0


def test_the_scaler_takes_its_arguments() -> None:
    (container,) = the("Deployment", "autoscaler")["spec"]["template"]["spec"]["containers"]
    command, *arguments = container["args"]
    assert command == autoscale.name
    with autoscale.make_context("autoscale", arguments) as context:
        worker = the("Deployment", "worker")["metadata"]
        assert context.params["fleet"] == f"kubernetes:{worker['namespace']}/{worker['name']}"
