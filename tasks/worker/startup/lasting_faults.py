"""Which faults, met at start, no waiting mends: a worker that met one says so and ends, instead of waiting for ever."""

import errno
import sqlite3

from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from celery_inference.sqs.errors import CREDENTIAL_CODES, DENIED_CODES, NoRegionError

_CODES = CREDENTIAL_CODES | DENIED_CODES | {"403", "NoSuchBucket", "PermanentRedirect", "InvalidBucketName"}
_ERRORS = (InvalidRegionError, NoCredentialsError, NoRegionError, PartialCredentialsError, ProfileNotFound)
_NUMBERS = {
    errno.EACCES,
    errno.ENOENT,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}
# https://www.sqlite.org/rescode.html: busy, locked, full and I/O errors may pass.
_SQLITE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOTADB}
_SQLITE |= {sqlite3.SQLITE_CORRUPT}
_REDIS = {"AuthenticationError", "AuthenticationWrongNumberOfArgsError", "NoPermissionError"}  # redis-py is an extra


def is_lasting(error: BaseException) -> bool:
    """Whether it, or what it was raised from, is there until somebody acts."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientError):
            return cause.response.get("Error", {}).get("Code") in _CODES
        if isinstance(cause, sqlite3.Error):
            return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE
        if isinstance(cause, _ERRORS) or type(cause).__name__ in _REDIS:
            return True
        if isinstance(cause, OSError) and cause.errno in _NUMBERS:
            return True
        cause = cause.__cause__
    return False


def unknown_region(error: BaseException, region: str | None) -> str | None:
    """A sentence where the region's host was not found and AWS has no region of that name, as far as botocore knows."""
    import botocore.session

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, EndpointConnectionError):
        cause = cause.__cause__
    if cause is None or region is None:
        return None
    session = botocore.session.get_session()
    known = {name for part in session.get_available_partitions() for name in session.get_available_regions("sqs", part)}
    return None if region in known else f"there is no AWS region {region!r}: look at AWS_DEFAULT_REGION ({cause})"
