"""The stack's configuration as plain objects."""

import json
from typing import Any

from pulumi.runtime.config import get_config_env

from deploy.infra.settings import SettingError

NAMESPACE = "celery-inference"


def values() -> dict[str, Any]:
    """What `Pulumi.STACK.yaml` sets for this program, keys without their namespace; its values are JSON objects.

    Raises:
        SettingError: a value is no object.
    """
    found = {}
    for key, text in get_config_env().items():
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE:
            continue
        try:
            found[name] = json.loads(text)
        except ValueError:
            raise SettingError(f"{key} is {text!r}: it must be an object of keys and values.") from None
    return found
