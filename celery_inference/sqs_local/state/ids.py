"""Ids of messages and move tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

IDS_A_DRAW: Final = 65_536  # what the last four digits of an id can count


def _message_ids() -> Iterator[str]:
    """Version 4 UUIDs by their form: 104 random bits and a count. uuid4() takes ten times as long."""
    while True:
        digits = os.urandom(13).hex()
        start = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"
        for number in range(IDS_A_DRAW):
            yield f"{start}{number:04x}"


new_message_id: Final = _message_ids().__next__
