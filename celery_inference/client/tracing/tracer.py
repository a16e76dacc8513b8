"""Whether anybody traces in this process. OpenTelemetry is imported by who configures it, never by us to find out."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

NAME = "celery-inference"  # OpenTelemetry's instrumentation scope


def tracer() -> "Tracer | None":
    """The tracer of this process; None where no SDK is configured, which costs a look into a dictionary."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    found: Tracer = provider.get_tracer(NAME)
    return found
