"""Media that are uploaded once and used by many requests: an application's side of claims.

picture = upload(Path("cat.jpg").read_bytes())
image_classification.delay(picture)
image_text_to_text.delay([{"role": "user", "content": [{"type": "image", "image": picture}, …]}])
delete_upload(picture)
"""

from dataclasses import asdict
from typing import Any

from celery_inference.client.app import app
from celery_inference.inputs import claims
from celery_inference.specs.errors import InvalidInput
from celery_inference.sqs.claim_check.stores import claims_at
from celery_inference.sqs.messages.claim import MAX_PAYLOAD_BYTES, Claim


def upload(data: bytes | bytearray | memoryview) -> dict[str, Any]:
    """Put a file's bytes into the claim-check store; what is returned may stand for them in requests of any task.

    It is plain JSON, and good on every host with the same store, until `delete_upload` or the store's own limit of
    age, mostly
    30 days (`celery_inference.sqs.claim_check.stores`).
    Blocks for a call of the store.

    Raises:
        InvalidInput: no bytes, none in them, or more than any worker takes.
        celery_inference.sqs.errors.ClaimStoreError: there is no store here, or it cannot be used now.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidInput.because("data", f"must be a file's bytes, not {type(data).__name__}")
    content = bytes(data)
    if not content:
        raise InvalidInput.because("data", "is empty")
    if len(content) > MAX_PAYLOAD_BYTES:
        raise InvalidInput.too_large("data", len(content), MAX_PAYLOAD_BYTES, "bytes")
    return {claims.WORD: asdict(claims_at(_store()).put(content))}


def delete_upload(kept: dict[str, Any]) -> None:
    """Remove from the store what `upload` put there; nothing happens when it is there no more.

    A request that needs it and has not begun then fails as the caller's fault. Blocks for a call of the store.

    Raises:
        InvalidInput: it is not what `upload` returned.
        celery_inference.sqs.errors.ClaimStoreError: there is no store here, or it cannot be used now.
    """
    claim = Claim.read(claims.checked("kept", kept, MAX_PAYLOAD_BYTES))
    claims_at(_store()).remove(claim)


def _store() -> str | None:
    url: str | None = app.conf.broker_transport_options.get("claim_check")
    return url
