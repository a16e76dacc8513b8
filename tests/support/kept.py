"""Claim-check stores as tests see them from outside: a folder, and a bucket of S3 in moto."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from moto.server import ThreadedMotoServer

from celery_inference.sqs.claim_check import stores


@dataclass
class Kept:
    """`environment` is what a process needs to reach the store."""

    url: str
    environment: dict[str, str]
    folder: Path | None = None
    s3: Any = None
    server: ThreadedMotoServer | None = None

    def keys(self) -> list[str]:
        if self.folder is not None:
            return sorted(file.name for file in self.folder.glob("*")) if self.folder.exists() else []
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket="claims").get("Contents", [])]

    def overwrite(self, key: str, payload: bytes) -> None:
        if self.folder is not None:
            (self.folder / key).write_bytes(payload)
        else:
            self.s3.put_object(Bucket="claims", Key=key, Body=payload)

    def forget(self, key: str) -> None:
        if self.folder is not None:
            (self.folder / key).unlink()
        else:
            self.s3.delete_object(Bucket="claims", Key=key)

    def place_of(self, key: str) -> str:
        """What `keys` calls the object of that key."""
        return key if self.folder is not None else f"requests/{key}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody reaches the store meanwhile; what is in it is there afterwards."""
        if self.folder is not None:
            aside = self.folder.with_name("aside")
            self.folder.rename(aside)
            try:
                yield
            finally:
                aside.rename(self.folder)
            return
        assert self.server is not None
        host, port = self.server.get_host_and_port()
        self.server.stop()
        try:
            yield
        finally:
            self._serve_again(host, port)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Whoever asks the store for something waits meanwhile; what is in it is there afterwards."""
        if self.folder is not None:
            files = {file: file.read_bytes() for file in self.folder.iterdir()}
            for file in files:
                file.unlink()
                os.mkfifo(file)  # whoever opens it waits for somebody who writes
            try:
                yield
            finally:
                for file, content in files.items():
                    file.unlink()
                    file.write_bytes(content)
            return
        assert self.server is not None
        host, port = self.server.get_host_and_port()
        self.server.stop()
        try:
            with socket.create_server((host, port)):  # which nobody reads from
                yield
        finally:
            self._serve_again(host, port)

    def _serve_again(self, host: str, port: int) -> None:
        self.server = ThreadedMotoServer(host, port, verbose=False)  # which keeps its objects in this process
        self.server.start()


def folder_in(folder: Path) -> Kept:
    """A store in that folder."""
    url = (folder / "claims").as_uri()
    return Kept(url, {"CELERY_INFERENCE_CLAIM_CHECK": url}, folder=folder / "claims")


@contextmanager
def bucket() -> Iterator[Kept]:
    """A store in a bucket of a server of its own; this process's environment says where it is."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with patch.dict(os.environ, environment):
        stores.store_at.cache_clear()
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="claims")
        url = "s3://claims/requests"
        kept = Kept(url, environment | {"CELERY_INFERENCE_CLAIM_CHECK": url}, s3=s3, server=server)
        yield kept
        for key in list(kept.keys()):
            kept.forget(key)
        s3.delete_bucket(Bucket="claims")
        stores.store_at.cache_clear()
    kept.server.stop()
