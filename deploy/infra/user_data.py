"""What a host of the fleet does at its first boot: cloud-init's document, base64 as EC2 takes it."""

import base64
import json
from pathlib import Path

UNITS = ("celery-inference-container.service",)
PROGRAMS = ("registry-login",)
PROGRAM_FOLDER = "/usr/local/lib/celery-inference"
ENVIRONMENT_FILE = "/etc/celery-inference/environment"


def user_data(*, image: str, result_backend: str, claim_check: str, queue_prefix: str, region: str, units: Path) -> str:
    """Writes the systemd units of `units`, what they run and their environment, and starts them.

    Expects Docker, NVIDIA's runtime and the AWS CLI.

    The document is JSON, which is YAML: nothing in a value can break out of it.
    """
    environment = {
        "IMAGE": image,
        "AWS_DEFAULT_REGION": region,
        "CELERY_INFERENCE_BROKER_URL": "sqs://",
        "CELERY_INFERENCE_RESULT_BACKEND": result_backend,
        "CELERY_INFERENCE_CLAIM_CHECK": claim_check,
        "CELERY_INFERENCE_HOST": "ec2",
        **({"CELERY_INFERENCE_QUEUE_PREFIX": queue_prefix} if queue_prefix else {}),
    }
    files = [
        {"path": f"/etc/systemd/system/{name}", "permissions": "0644", "content": (units / name).read_text()}
        for name in UNITS
    ]
    files += [
        {"path": f"{PROGRAM_FOLDER}/{name}", "permissions": "0755", "content": (units / name).read_text()}
        for name in PROGRAMS
    ]
    lines = "".join(f"{key}={value}\n" for key, value in environment.items())
    files.append({"path": ENVIRONMENT_FILE, "permissions": "0600", "content": lines})
    commands = [["systemctl", "daemon-reload"], *(["systemctl", "enable", "--now", name] for name in UNITS)]
    document = "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": commands}, indent=1)
    return base64.b64encode(document.encode()).decode()
