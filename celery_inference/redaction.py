"""Inputs are personal data: how much of them may be seen outside the message and the result store.

`inference_keep_inputs` is a number of characters for each place that would show arguments: the events, the logs, the
index of dead letters and the pages made of them. The default is 0: nothing.
"""

import re
from typing import Any

WITHHELD = "(withheld)"
# What our own senders write instead of arguments.
_HARMLESS = re.compile(r"\(\d+ inputs\)|\{'model': '[\w.@/-]{1,100}'\}")


def withheld(text: Any, characters: int) -> str:
    """As much of a text that may hold inputs as is allowed."""
    if isinstance(text, str) and _HARMLESS.fullmatch(text):
        return text
    if not isinstance(text, str) or characters <= 0:
        return WITHHELD
    return text if len(text) <= characters else text[:characters] + "…"


def shown(value: Any, characters: int) -> str:
    """As much of a value that may be an input as is allowed, as Python writes it."""
    return withheld(repr(value), characters) if characters > 0 else WITHHELD


def without_secret(url: str) -> str:
    """A URL, or what was meant to be one, as a sentence may show it: without its user, password and query."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    address, question, query = rest.partition("?")
    if "@" in query:  # the mark may be a password's
        return f"{scheme}{separator}***"
    user, at, host = address.rpartition("@")
    if not at and ":" in host:
        host, colon, port = host.partition(":")
        user = "" if port.split("/")[0].isdecimal() else colon
        host += f":{port}" if not user else ""
    masked = f"***@{host}" if user or at else host
    return f"{scheme}{separator}{masked}{'?***' if question else ''}"
