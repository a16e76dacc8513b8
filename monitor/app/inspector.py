"""What workers answer about themselves, without the user and password of any URL in it.

Celery masks the password of its broker's URL and leaves the user, which on AWS is the id of an access key. Written for
Flower 2.2: an override of the method of its inspector that takes the answers.
"""

import re
from typing import Any

from flower.inspector import Inspector

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_USER = "userid"


def without_credentials(value: Any) -> Any:
    """The same answer; in its texts no URL has a user, and what names one is None."""
    if isinstance(value, str):
        return _CREDENTIALS.sub("", value)
    if isinstance(value, dict):
        return {name: None if name == _USER else without_credentials(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_credentials(each) for each in value]
    return value


class CleanInspector(Inspector):
    """Flower's, whose pages and API show what it keeps."""

    def _on_update(self, workername: str, method: str, response: Any) -> None:
        super()._on_update(
            workername, method, without_credentials(response) if method in ("stats", "conf") else response
        )
