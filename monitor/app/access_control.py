"""Nobody reaches Flower from another machine without logging in.

Listening on loopback alone is not enough: a web page from anywhere can have its own name resolve to 127.0.0.1
(DNS rebinding) and then read Flower through the browser of whoever looks at it. Such a request names that
page's host, so where there is no login only loopback's own names are answered.
"""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from click import ClickException
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
REFUSAL = (
    "Flower has no login and answers on this machine's own address alone: open it as http://localhost, set "
    "--basic-auth or --auth, or let a proxy that asks for a login pass on `Host: localhost`.\n"
)


class ExposedWithoutLogin(ClickException):
    """Flower was told to listen where others can reach it, and to let everybody in."""

    def __init__(self, address: str) -> None:
        where = f"on {address}" if address else "on all addresses"
        super().__init__(
            f"Flower would answer everybody {where}: set --basic-auth=USER:PASSWORD or --auth, "
            "or leave --address at 127.0.0.1."
        )


class EmptyLogin(ClickException):
    """Flower was told of a login that lets everybody in."""

    def __init__(self) -> None:
        super().__init__(
            "--basic-auth (FLOWER_BASIC_AUTH) must be USER:PASSWORD, neither of them empty, or several with commas."
        )


def refuse_exposure(options: Any) -> None:
    """Raise ExposedWithoutLogin if Flower's options open it to other machines without a login.

    Raises EmptyLogin for one that is none: Flower would take an empty password from anybody.
    """
    for login in options.basic_auth or ():
        user, _, password = login.partition(":")
        if not user or not password:
            raise EmptyLogin
    if not has_login(options) and not options.unix_socket and not is_loopback(options.address):
        raise ExposedWithoutLogin(options.address)


def has_login(options: Any) -> bool:
    """Whether Flower's options make visitors log in."""
    return bool(options.basic_auth or options.auth)


def is_cross_site(request: HTTPServerRequest) -> bool:
    """Whether a page of another site sends this request to change something, through the browser of who looks at it.

    Browsers say so in Sec-Fetch-Site; where it is missing, as over plain HTTP, Origin names the page's host. Programs
    send neither.
    """
    if request.method in SAFE_METHODS:
        return False
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()


class CrossSite(RequestHandler):
    """Answers what a page of another site sends."""

    def check_xsrf_cookie(self) -> None:
        """Nothing to protect: no method runs."""

    def prepare(self) -> None:
        """403 before any method runs."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("A page of another site may not change anything here.\n")


class ForeignHost(RequestHandler):
    """Answers every request that names another host, where there is no login."""

    def check_xsrf_cookie(self) -> None:
        """Nothing to protect: no method runs."""

    def prepare(self) -> None:
        """403 before any method runs."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(REFUSAL)


def is_loopback(address: str) -> bool:
    """Whether an IP address, bracketed or not, or a host name can only be this machine."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"  # any other name may lead anywhere
