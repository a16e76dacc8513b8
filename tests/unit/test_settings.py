"""celeryconfig reads the environment once, checks it, and holds nothing that Celery does not know."""

import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from celery.app.defaults import NAMESPACES, flatten
from celery.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]
OURS = "inference_"


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, object]:
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CELERY_CATALOGUE", "CELERY_MODELS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CELERY_DEVICES", "CELERY_LEASE_SECONDS", "CELERY_ALLOW_UNSAFE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "celeryconfig.py"))


def test_an_empty_environment_means_one_machine_with_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    assert settings["broker_url"] == "sqs://local:local@127.0.0.1:9324//"
    assert str(settings["result_backend"]).startswith("sqlite:///")
    assert settings["broker_transport_options"]["create_missing_lanes"] is True  # type: ignore[index]
    assert settings["broker_transport_options"]["claim_check"] == (ROOT / "var" / "claims").as_uri()  # type: ignore[index]


def test_aws_is_one_variable_away_and_its_queues_are_not_created_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch, CELERY_BROKER_URL="sqs://")
    assert settings["broker_url"] == "sqs://"
    assert settings["broker_transport_options"]["create_missing_lanes"] is False  # type: ignore[index]
    assert settings["broker_transport_options"]["claim_check"] is None  # type: ignore[index]
    with_claims = read(monkeypatch, CELERY_BROKER_URL="sqs://", CELERY_CLAIM_CHECK="s3://bucket/claims")
    assert with_claims["broker_transport_options"]["claim_check"] == "s3://bucket/claims"  # type: ignore[index]


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CELERY_BROKER_URL", "redis://localhost", "sqs://"),
        ("CELERY_BROKER_URL", "sqs://key:secret@host:notaport//", "sqs://"),
        ("CELERY_BROKER_URL", "sqs://key:secret@host//", "sqs://"),
        ("CELERY_RESULT_BACKEND", "nonsense", "result backend"),
        ("CELERY_RESULT_BACKEND", "sqlite:results.sqlite", "sqlite"),
        ("CELERY_RESULT_BACKEND", "rpc://", "result backend"),
        ("CELERY_RESULT_BACKEND", "dynamodb://eu-central-1", "a table is written"),
        ("CELERY_RESULT_BACKEND", "dynamodb://key:secret@host:1/table?read=5", "a table is written"),
        ("CELERY_CATALOGUE", "does/not/exist.toml", "exists"),
        ("CELERY_MODELS", ",", "names of models"),
        ("CELERY_ALLOW_UNSAFE", ",", "names of models"),
        ("CELERY_DEVICES", "gpu", "cpu:N"),
        ("CELERY_DEVICES", "cpu:0", "cpu:N"),
        ("CELERY_DEVICES", "cpu:³", "cpu:N"),
        ("CELERY_LEASE_SECONDS", "4", "from 5"),
        ("CELERY_LEASE_SECONDS", "1e9", "from 5"),
        ("CELERY_CLAIM_CHECK", "http://host/claims", "s3://BUCKET/PREFIX"),
        ("CELERY_CLAIM_CHECK", "file://relative/claims", "file:///FOLDER"),
        ("CELERY_HOST", "gcp", "ec2, ecs or kubernetes"),
        ("CELERY_HOST", "ecs", "ECS_AGENT_URI is not set"),
        ("CELERY_HOST", "kubernetes", "KUBERNETES_SERVICE_HOST is not set"),
        ("CELERY_DEAD_LETTER_SHARE", "50%", "from 0 to 1"),
        ("CELERY_DEAD_LETTERS_AN_HOUR", "0", "from 1"),
        ("CELERY_SWEEP_SECONDS", "nan", "from 1 to 3600"),
        ("CELERY_ATTEMPTS", "none", "every or redelivered"),
        ("CELERY_KEEP_INPUTS", "-1", "from 0"),
        ("CELERY_RETRY_BASE_SECONDS", "soon", "from 0"),
        ("CELERY_RETRY_CAP_SECONDS", "1e9", "from 0 to 43200"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(monkeypatch, **{variable: value})
    sentence = str(caught.value)
    assert sentence.startswith(variable)
    assert allowed in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "secret" not in sentence.removeprefix(variable)


def test_a_misspelt_variable_is_named_and_what_celery_reads_itself_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match="CELERY_RESULTS_BACKEND .*; did you mean CELERY_RESULT_BACKEND"):
        read(monkeypatch, CELERY_RESULTS_BACKEND="dynamodb://eu-central-1/results")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.delenv("CELERY_RESULTS_BACKEND", raising=False)
        read(monkeypatch, CELERY_BROKER_READ_URL="sqs://", CELERY_TRACE_APP="1", CELERY_RESULT_BACKEND="sqlite:////x")


def test_every_public_name_is_a_setting_of_celery_or_begins_with_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # Celery reads these two without listing them among its defaults.
    known = {name for name, _ in flatten(NAMESPACES)} | {"override_backends", "result_backend_thread_safe"}
    public = {name for name in read(monkeypatch) if not name.startswith("_")} - {"SettingError"}
    assert {name for name in public if not name.startswith(OURS)} <= known


def test_the_command_line_prints_the_sentence_and_no_traceback() -> None:
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker"]
    ended = subprocess.run(
        command, cwd=ROOT, env={"CELERY_DEVICES": "tpu", "PATH": ""}, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert "CELERY_DEVICES is 'tpu'" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_aws_without_a_region_is_one_sentence_at_delay_and_on_the_command_line() -> None:
    environment = {"CELERY_BROKER_URL": "sqs://", "PATH": "", "AWS_CONFIG_FILE": "/nonexistent"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )

    program = "from kombu.exceptions import OperationalError\nfrom tasks import feature_extraction\ntry:\n"
    program += "    feature_extraction.delay('text')\nexcept OperationalError as error:\n    print(error)"
    assert "no AWS region is set" in run("-c", program).stdout
    for command in (("queues", "list"), ("flower", "--port=0")):
        ended = run("-m", "celery", "-A", "tasks", *command)
        assert ended.returncode == 1
        assert "no AWS region is set" in ended.stderr
        assert "Traceback" not in ended.stderr
