"""Nobody reaches Flower from another machine without logging in."""

import ipaddress
from typing import Any

from click import ClickException


class ExposedWithoutLogin(ClickException):
    """Flower was told to listen where others can reach it, and to let everybody in."""

    def __init__(self, address: str) -> None:
        where = f"on {address}" if address else "on all addresses"
        super().__init__(
            f"Flower would answer everybody {where}: set --basic-auth=USER:PASSWORD or --auth, "
            "or leave --address at 127.0.0.1."
        )


def refuse_exposure(options: Any) -> None:
    """Raise ExposedWithoutLogin if Flower's options open it to other machines without a login."""
    if options.basic_auth or options.auth or options.unix_socket or _is_loopback(options.address):
        return
    raise ExposedWithoutLogin(options.address)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"  # any other name may lead anywhere
