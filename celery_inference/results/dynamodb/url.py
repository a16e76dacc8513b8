"""Where the table is: `dynamodb://…` as Celery writes it."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from celery.exceptions import ImproperlyConfigured

FORM = "dynamodb://REGION/TABLE, dynamodb:///TABLE with the region of AWS's usual places, or "
FORM += "dynamodb://KEY:SECRET@HOST:PORT/TABLE for an endpoint of your own"


@dataclass(frozen=True, slots=True)
class TableUrl:
    """A table of AWS's, or with `endpoint` of an emulator's; without keys credentials come from AWS's usual places.

    `creates`: a missing table is made, as on an endpoint on loopback, where nobody else would.
    """

    table: str
    region: str | None = None
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    creates: bool = False

    @classmethod
    def of(cls, url: str, endpoint: str | None = None) -> Self:
        """The place that a URL names; `endpoint` is Celery's `dynamodb_endpoint_url`.

        Raises ImproperlyConfigured.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ImproperlyConfigured(f"the result backend's URL cannot be read: it must be {FORM}") from None
        table, host = parts.path.strip("/"), parts.hostname or ""
        if parts.scheme != "dynamodb" or not table or "/" in table:
            raise ImproperlyConfigured(f"the result backend's URL names no table: it must be {FORM}")
        if parts.query:
            named = ", ".join(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
            raise ImproperlyConfigured(f"the result backend's URL has options ({named}); `result_expires` is a setting")
        if bool(parts.username) != bool(parts.password):
            raise ImproperlyConfigured("the result backend's URL has an access key or a secret, and not both")
        own = port is not None or host == "localhost" or _is_address(host)
        found = endpoint or (f"http://{_bracketed(host)}:{port or 8000}" if own else None)
        return cls(
            table=table,
            region=None if own or not host else host,
            endpoint=found,
            access_key=unquote(parts.username) if parts.username else None,
            secret_key=unquote(parts.password) if parts.password else None,
            creates=found is not None and (urlsplit(found).hostname or "") in ("127.0.0.1", "localhost", "::1"),
        )

    def __str__(self) -> str:
        host = self.endpoint.partition("://")[2] if self.endpoint else self.region or ""
        return f"dynamodb://{host}/{self.table}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
