"""Where the claim check keeps payloads: a folder, for the processes of one host, or a bucket of S3 for a fleet.

botocore is imported where S3 is asked: the settings of every process name a store, and few use one.
"""

import contextlib
import functools
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from celery_inference.sqs.api.client_factory import make_client_of
from celery_inference.sqs.claim_check.claim_check import ClaimCheck, ClaimStore
from celery_inference.sqs.claim_check.store_url import split_store_url
from celery_inference.sqs.errors import ClaimGoneError, ClaimStoreError
from celery_inference.sqs.messages.claim import Claim
from celery_inference.sqs.messages.envelope import with_payload

READ_TIMEOUT_SECONDS = 30.0  # for the first byte of an answer, and between bytes
READ_SECONDS = 120.0  # for all bytes of an answer, as looked at after each chunk
KEEP_SECONDS = 30 * 86_400.0  # longer than a message and then its dead letter can be kept by SQS
_PRUNE_SECONDS = 3_600.0
_CHUNK_BYTES = 64 * 1024
_GONE = {"NoSuchKey", "404", "NotFound"}


@functools.lru_cache(maxsize=8)
def store_at(url: str) -> ClaimStore:
    """The store that a URL names: `file:///FOLDER` or `s3://BUCKET/PREFIX`. Raises OptionError for others."""
    parts = split_store_url(url)
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)))
    return S3Store(parts.netloc, parts.path.strip("/"))


def claims_at(url: str | None) -> ClaimCheck:
    """The claim check of the store that a URL names. Raises ClaimStoreError for None, where none is configured."""
    if url is None:
        raise ClaimStoreError("(none)", "no store is configured here; CELERY_INFERENCE_CLAIM_CHECK names one")
    return ClaimCheck(store_at(url))


class FolderStore:
    """Files in one folder, made when it is needed. What is older than `KEEP_SECONDS` is removed on the way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pruned_at = 0.0

    def put(self, key: str, payload: bytes) -> None:
        """Written whole or not at all, and on the disk before the message that names it leaves."""
        new = self._folder / f".{uuid.uuid4().hex}.new"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._prune()
            with new.open("xb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._folder / key)
            self._sync_folder()
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise ClaimStoreError(str(self._folder), f"{type(error).__name__}: {error.strerror}") from error

    def _sync_folder(self) -> None:
        """Until then a power failure may take the file's name."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def get(self, key: str, size_bytes: int) -> bytes:
        """See ClaimStore. No link is followed."""
        try:
            descriptor = os.open(self._folder / key, os.O_RDONLY | os.O_NOFOLLOW)
            with open(descriptor, "rb") as file:
                payload = file.read(size_bytes + 1)
        except FileNotFoundError as error:
            if not self._folder.is_dir():  # a disk that is not mounted has lost nothing
                raise ClaimStoreError(str(self._folder), "the folder is not there") from error
            raise ClaimGoneError(key) from None
        except OSError as error:
            raise ClaimStoreError(str(self._folder), f"{type(error).__name__}: {error.strerror}") from error
        return payload

    def remove(self, key: str) -> None:
        """See ClaimStore."""
        try:
            (self._folder / key).unlink(missing_ok=True)
        except OSError as error:
            raise ClaimStoreError(str(self._folder), f"{type(error).__name__}: {error.strerror}") from error

    def _prune(self) -> None:
        now = time.time()
        if now - self._pruned_at < _PRUNE_SECONDS:
            return
        self._pruned_at = now
        for file in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if now - file.stat(follow_symlinks=False).st_mtime > KEEP_SECONDS:
                    file.unlink()


class S3Store:
    """Objects under one prefix of one bucket. Credentials, region and endpoint come from AWS's usual places.

    What nobody removes is left to the bucket's lifecycle (`deploy/infra/storage.py`).
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._url = f"s3://{bucket}/{prefix}"
        self._lock = threading.Lock()
        self._client: Any = None

    def put(self, key: str, payload: bytes) -> None:
        """See ClaimStore."""
        self._call("put_object", key, Body=payload)

    def get(self, key: str, size_bytes: int) -> bytes:
        """See ClaimStore. Reads no more than was claimed, whatever is there."""
        from botocore.exceptions import BotoCoreError

        answer = self._call("get_object", key)
        try:
            payload = self._read(answer["Body"], size_bytes + 1)
        except (BotoCoreError, OSError) as error:
            raise ClaimStoreError(self._url, f"GetObject: {type(error).__name__}: {error}") from error
        finally:
            answer["Body"].close()
        return payload

    def _read(self, body: Any, most_bytes: int) -> bytes:
        until, payload = time.monotonic() + READ_SECONDS, bytearray()
        while chunk := body.read(min(_CHUNK_BYTES, most_bytes - len(payload))):
            payload += chunk
            if time.monotonic() > until:
                raise ClaimStoreError(self._url, f"GetObject: no end of the object in {READ_SECONDS:g} s")
        return bytes(payload)

    def remove(self, key: str) -> None:
        """See ClaimStore."""
        self._call("delete_object", key)

    def _call(self, operation: str, key: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._connected(), operation)(Bucket=self._bucket, Key=f"{self._prefix}{key}", **parameters)
        except ClientError as error:
            if operation == "get_object" and error.response.get("Error", {}).get("Code") in _GONE:
                raise ClaimGoneError(key) from None
            raise ClaimStoreError(self._url, str(error)) from error
        except (BotoCoreError, OSError) as error:
            raise ClaimStoreError(self._url, f"{type(error).__name__}: {error}") from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = make_client_of(
                    "s3", read_timeout_seconds=READ_TIMEOUT_SECONDS, attempts=3, max_connections=16
                )
            return self._client


def redeemed(envelope: dict[str, Any], url: str | None) -> dict[str, Any]:
    """A decoded envelope with its payload, from the store of that URL if it was kept there; for who looks at letters.

    Raises UndecodableError and ClaimStoreError.
    """
    claim = Claim.of(envelope["properties"])
    if claim is None:
        return envelope
    return with_payload(envelope, claims_at(url).redeem(claim))


# Sockets must not be shared between processes, nor locks that a thread of the parent holds.
os.register_at_fork(after_in_child=store_at.cache_clear)
