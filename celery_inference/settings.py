"""The settings of this process: the only reader of the environment. docs/settings.md lists them.

They are read once, when something first needs them, from variables that begin with `CELERY_INFERENCE_`; `configure`
gives the same in code before that, and wins. A wrong value raises SettingError, one sentence with the name, the value
and what is allowed. Nothing needs to be set: the defaults are one machine with the embedded server.
"""

import difflib
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery_inference import setting_values as values
from celery_inference.redaction import without_secret
from celery_inference.setting_values import NearMissError, SettingError

PREFIX = "CELERY_INFERENCE_"
_HERE = Path(__file__).resolve().parent
_METADATA_ADDRESS = "http://169.254.169.254"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the library and of its workers. Times are in seconds; docs/settings.md says what each does."""

    broker_url: str
    result_backend: str
    state: str
    catalogue: str
    lanes: str
    queue_prefix: str
    broadcast: str | None
    claim_check: str | None
    lease_seconds: int
    unknown_task_grace_seconds: int
    keep_inputs: int
    models: tuple[str, ...]
    allow_unsafe: tuple[str, ...]
    devices: str
    attempts: str
    dead_letter_share: float
    dead_letters_an_hour: int
    reconcile_seconds: float
    retry_base_seconds: float
    retry_cap_seconds: float
    host: str | None
    # Of other programs' variables.
    host_address: str
    hub_cache: str
    traces: bool
    visible_devices: str | None


# A setting's check, by its name, which in capitals and behind PREFIX is its variable.
_CHECKS: Mapping[str, Callable[[str, str], Any]] = {
    "broker_url": values.broker_url,
    "result_backend": values.result_backend,
    "state": values.folder,
    "catalogue": values.file,
    "lanes": values.file,
    "queue_prefix": values.queue_prefix,
    "broadcast": values.broadcast,
    "claim_check": values.claim_check,
    "lease_seconds": values.lease_seconds,
    "unknown_task_grace_seconds": values.whole_number(0, 43_200),
    "keep_inputs": values.whole_number(0, values.MAX_KEPT_CHARACTERS),
    "models": values.model_names,
    "allow_unsafe": values.model_names,
    "devices": values.devices,
    "attempts": values.one_of("every", "redelivered"),
    "dead_letter_share": values.number(0, 1),
    "dead_letters_an_hour": values.whole_number(1, 1_000_000),
    "reconcile_seconds": values.number(1, 3_600),
    "retry_base_seconds": values.backoff_seconds,
    "retry_cap_seconds": values.backoff_seconds,
    "host": values.one_of("none", "ec2", "ecs", "kubernetes"),
}
_DEFAULTS = {
    "broker_url": "sqs://local:local@127.0.0.1:9324//",
    "catalogue": str(_HERE / "catalogue.toml"),
    "lanes": str(_HERE / "lanes.toml"),
    "queue_prefix": "",
    "broadcast": "celery-broadcast",
    "lease_seconds": "30",
    "unknown_task_grace_seconds": "1800",
    "keep_inputs": "0",
    "models": "",
    "allow_unsafe": "",
    "devices": "auto",
    "attempts": "every",
    "dead_letter_share": "0.5",
    "dead_letters_an_hour": "1000",
    "reconcile_seconds": "60",
    "retry_base_seconds": "1",
    "retry_cap_seconds": "300",
    "host": "none",
}
VARIABLES = tuple(PREFIX + name.upper() for name in _CHECKS)
# What variables were called before there was a prefix of our own.
_FORMER = {
    **{
        f"CELERY_{name.upper()}": PREFIX + name.upper()
        for name in _CHECKS
        if name not in ("broker_url", "result_backend")
    },
    "CELERY_VERSION_WINDOW_SECONDS": f"{PREFIX}UNKNOWN_TASK_GRACE_SECONDS",
    "CELERY_SWEEP_SECONDS": f"{PREFIX}RECONCILE_SECONDS",
    "CELERY_LEASE": f"{PREFIX}LEASE_SECONDS",
}

# What Kubernetes sets for a Service whose name begins with `celery-inference`: kubernetes.io/docs/concepts/services-
# networking/service/#environment-variables
_OF_KUBERNETES = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")

_lock = threading.RLock()
_current: Settings | None = None
_configured: dict[str, str] = {}


def current() -> Settings:
    """The settings of this process. Reads the environment at the first call; raises SettingError."""
    global _current  # noqa: PLW0603 - of the process, as the environment is
    with _lock:
        if _current is None:
            _current = read(os.environ, _configured)
            for sentence in near_misses(os.environ):
                warnings.warn(sentence, stacklevel=2)
        return _current


def configure(
    *,
    broker: str | None = None,
    results: str | None = None,
    state: str | Path | None = None,
    catalogue: str | Path | None = None,
    lanes: str | Path | None = None,
    queue_prefix: str | None = None,
    broadcast: str | None = None,
    claim_check: str | None = None,
    keep_inputs: int | None = None,
    lease_seconds: int | None = None,
) -> None:
    """Say in code what the environment would say, before anything is sent; what is given wins over the environment.

        celery_inference.configure(broker="sqs://", results="dynamodb://eu-central-1/results")

    `broker` is CELERY_INFERENCE_BROKER_URL, `results` CELERY_INFERENCE_RESULT_BACKEND, and every other argument the
    variable of its name. The same call twice does nothing.

    Raises:
        SettingError: a value cannot be; or the settings are in use, or were configured, with another value.
    """
    global _configured  # noqa: PLW0603 - of the process, as the environment is
    arguments = {
        "broker_url": broker,
        "result_backend": results,
        "state": state,
        "catalogue": catalogue,
        "lanes": lanes,
        "queue_prefix": queue_prefix,
        "broadcast": broadcast,
        "claim_check": claim_check,
        "keep_inputs": keep_inputs,
        "lease_seconds": lease_seconds,
    }
    given = {name: str(value) for name, value in arguments.items() if value is not None}
    with _lock:
        wanted = {**_configured, **given}
        again = read(os.environ, wanted)
        for name, text in given.items():
            before = getattr(_current, name) if _current is not None else _configured.get(name)
            after = getattr(again, name) if _current is not None else text
            if before is not None and before != after:
                shown = without_secret(str(after))
                raise SettingError(
                    f"configure({_argument(name)}=…)",
                    shown,
                    f"the settings of this process are in use with {without_secret(str(before))!r}; "
                    "configure once, before the first use",
                )
        _configured = wanted


def _argument(name: str) -> str:
    return {"broker_url": "broker", "result_backend": "results"}.get(name, name)


def override(**given: str) -> None:
    """Let these win over everything: what a command line says of our application, before the first use."""
    global _configured  # noqa: PLW0603 - of the process, as the environment is
    with _lock:
        _configured = {**_configured, **given}


def read(environment: Mapping[str, str], given: Mapping[str, str] | None = None) -> Settings:
    """Settings from an environment and from what was given in code, which wins. Raises SettingError."""
    given = given or {}

    def value_of(name: str, default: str) -> Any:
        if name in given:
            return _CHECKS[name](_argument(name), given[name])
        variable = PREFIX + name.upper()
        return _CHECKS[name](variable, environment.get(variable, "").strip() or default)

    state = value_of("state", _state_folder(environment))
    found = {name: value_of(name, default) for name, default in _DEFAULTS.items()}
    local_claims = (Path(state) / "claims").as_uri() if values.is_local(found["broker_url"]) else "off"
    host = None if found.pop("host") == "none" else environment[f"{PREFIX}HOST"].strip()
    return Settings(
        **found,
        state=state,
        result_backend=value_of("result_backend", f"sqlite:///{Path(state) / 'results.sqlite'}"),
        claim_check=value_of("claim_check", local_claims),
        host=host,
        host_address=_host_address(host, environment),
        hub_cache=_hub_cache(environment),
        traces=_traces(environment),
        visible_devices=environment.get("CUDA_VISIBLE_DEVICES"),
    )


def refuse_near_misses() -> None:
    """Raise NearMissError for the first variable that was meant to be a setting: a worker must not start without it."""
    for sentence in near_misses(os.environ):
        raise NearMissError(sentence)


def near_misses(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that was meant to be one of ours: it leaves the default in force without a word."""
    sentences = []
    for name in sorted(environment):
        if name in VARIABLES or _OF_KUBERNETES.fullmatch(name):
            continue
        if name in _FORMER:
            sentences.append(f"{name} has no effect; the variable is called {_FORMER[name]}")
        elif name.startswith(PREFIX):
            meant = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.6)
            hint = f"did you mean {meant[0]}?" if meant else "docs/settings.md lists those that are"
            sentences.append(f"{name} is no setting and has no effect; {hint}")
        elif meant := difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.9):
            sentences.append(f"{name} is no setting and has no effect; did you mean {meant[0]}?")
    return sentences


def _state_folder(environment: Mapping[str, str]) -> str:
    # freedesktop.org's Base Directory Specification: state that outlives restarts, of one user.
    home = environment.get("XDG_STATE_HOME", "").strip() or "~/.local/state"
    return f"{home}/celery-inference"


def _hub_cache(environment: Mapping[str, str]) -> str:
    """Where huggingface_hub keeps fetched models, by its own variables."""
    cache = environment.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    home = environment.get("HF_HOME", "").strip() or f"{cache}/huggingface"
    return str(Path(environment.get("HF_HUB_CACHE", "").strip() or f"{home}/hub").expanduser())


def _host_address(host: str | None, environment: Mapping[str, str]) -> str:
    """Where the platform of this host answers, by the platform's own variables."""

    def named(variable: str, default: str = "") -> str:
        return environment.get(variable, "").strip() or default

    if host == "ec2":
        return named("AWS_EC2_METADATA_SERVICE_ENDPOINT", _METADATA_ADDRESS)
    address = {"ecs": named("ECS_AGENT_URI"), "kubernetes": kubernetes_address(environment)}.get(host or "", "")
    if host and not address:
        variable = {"ecs": "ECS_AGENT_URI", "kubernetes": "KUBERNETES_SERVICE_HOST"}[host]
        raise SettingError(f"{PREFIX}HOST", host, f"this process does not run there, {variable} is not set")
    return address


def kubernetes_address(environment: Mapping[str, str] = os.environ) -> str:
    """Where the API of the cluster answers that this process runs in, by Kubernetes' variables; empty outside of
    one."""
    server = environment.get("KUBERNETES_SERVICE_HOST", "").strip()
    name = f"[{server}]" if ":" in server else server
    return f"https://{name}:{environment.get('KUBERNETES_SERVICE_PORT', '').strip() or '443'}" if server else ""


def _traces(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables name a collector."""
    collectors = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    named = any(environment.get(variable, "").strip() for variable in collectors)
    return named and environment.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
