"""Ids of messages and move tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final


def _message_ids() -> Iterator[str]:
    """Version 4 UUIDs; uuid4() takes ten times as long."""
    while True:
        random = os.urandom(16 * 64).hex()
        for start in range(0, len(random), 32):
            digits = random[start : start + 32]
            yield f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


new_message_id: Final = _message_ids().__next__
