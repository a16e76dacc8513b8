"""The embedded server has SQS's quotas for itself, because it imports nothing of the library; they are the same."""

from celery_inference.sqs import limits
from celery_inference.sqs_local import limits as own


def quotas(module: object) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if name.isupper()}


def test_the_embedded_servers_quotas_are_the_transports() -> None:
    assert quotas(own) == quotas(limits)
    assert quotas(own)
