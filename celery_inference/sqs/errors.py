"""What can go wrong between us and SQS, and whose turn it is then.

SqsError
├── UnavailableError       Transient: 5xx, throttling, timeouts, resets, expired credentials. Try again.
├── NotAskedError          Transient: SQS took no command for workers; whoever gave it decides whether to try again
├── ClaimStoreError        Transient: the store of payloads that fit into no message cannot be used now, or not by us
├── QueueMissingError      the deployment's: the queue does not exist; says how to make it
├── DeniedError            the deployment's: IAM refuses the action; says which one
├── RefusedError           the deployment's: SQS does not accept the call as it is
├── NoRegionError          the deployment's: nobody says which AWS region is meant
├── BroadcastOffError      the deployment's: events and remote control are switched off
├── OptionError            the deployment's: a transport option that does not exist or cannot be
├── UndecodableError       the caller's: a body that is no envelope, or no task; its message becomes a dead letter
│   └── ClaimGoneError     its payload was kept elsewhere, and is there no more
├── MessageTooLargeError   the caller's: says the encoded size and the limit
└── DelayRefusedError      the caller's: FIFO queues take no delay for one message

The first eight are kombu OperationalErrors, which is what `delay()` promises to raise. Only the first is
worth a retry, so it alone is in the transport's list of recoverable errors.

botocore is imported where its errors are looked at: whoever only names errors, as every sender does, starts without it.
"""

from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError

from celery_inference.specs.errors import DeploymentError, InferenceError, InvalidInput, Transient

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MISSING_CODES = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"})
DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
# Credentials that expired, were rotated, or seem so because a clock is off: others may work in a moment.
CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
THROTTLING_CODES = frozenset(
    {
        "OverLimit",
        "KMS.ThrottlingException",
        "KmsThrottled",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# Never the message's own fault; seen as 4xx from proxies and load balancers in front of SQS.
PASSING_STATUS = frozenset({408, 421, 425, 429})


class SqsError(InferenceError):
    """Root of everything that `sqs` raises on purpose. Survives pickling, though constructors take facts."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: type[SqsError], args: tuple[Any, ...], facts: dict[str, Any]) -> SqsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class UnavailableError(SqsError, Transient, OperationalError):
    """SQS did not answer, or answered that it cannot now."""

    def __init__(self, operation: str, queue: str, cause: str) -> None:
        super().__init__(f"{operation} on queue {queue!r}: {cause}")
        self.operation, self.queue, self.cause = operation, queue, cause


class QueueMissingError(SqsError, DeploymentError, OperationalError):
    """The queue does not exist where we look for it."""

    def __init__(self, operation: str, queue: str) -> None:
        super().__init__(
            f"{operation}: queue {queue!r} does not exist; create it with "
            "`celery-inference queues create`, or check region, account and endpoint"
        )
        self.operation, self.queue = operation, queue


class DeniedError(SqsError, DeploymentError, OperationalError):
    """IAM does not allow the action."""

    def __init__(self, operation: str, queue: str, cause: str) -> None:
        super().__init__(f"sqs:{operation} on queue {queue!r} is denied; allow it in the role's policy ({cause})")
        self.operation, self.queue = operation, queue


class RefusedError(SqsError, DeploymentError, OperationalError):
    """SQS does not accept the call; sending it again changes nothing."""

    def __init__(self, operation: str, queue: str, code: str, cause: str) -> None:
        super().__init__(f"{operation} on queue {queue!r} was refused: {code}: {cause}")
        self.operation, self.queue, self.code = operation, queue, code


class NoRegionError(SqsError, DeploymentError, OperationalError):
    """AWS is meant, and no region is named anywhere."""

    def __init__(self) -> None:
        super().__init__("no AWS region is set: name one in AWS_DEFAULT_REGION or in AWS's configuration file")


class BroadcastOffError(SqsError, DeploymentError, OperationalError):
    """A command or a look at events where both are off."""

    def __init__(self) -> None:
        super().__init__("Celery's events and remote control are switched off (CELERY_INFERENCE_BROADCAST)")


class NotAskedError(SqsError, Transient, OperationalError):
    """A command for workers was not sent. kombu would repeat it for ever if it counted as recoverable."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the workers could not be asked: {cause}")


class MessageTooLargeError(SqsError, InvalidInput):
    """The encoded message does not fit into its queue."""

    def __init__(self, queue: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the message for queue {queue!r} is {size_bytes:,} bytes encoded; the limit is {limit_bytes:,}"
        )
        self.queue, self.size_bytes, self.limit_bytes = queue, size_bytes, limit_bytes


class DelayRefusedError(SqsError, InvalidInput):
    """A countdown or eta for a FIFO queue."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"queue {queue!r} is FIFO: SQS delays no single message there, so it takes no countdown or eta"
        )
        self.queue = queue


class UndecodableError(SqsError, InvalidInput):
    """A message that no worker can read."""


class ClaimGoneError(UndecodableError):
    """The claimed payload is not in the store."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the claimed payload {key} is not in the store any more")
        self.key = key


class ClaimStoreError(SqsError, Transient, OperationalError):
    """The store of the claim check did not do what it was asked to; `store` is its URL."""

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(f"the claim-check store {store}: {cause}")
        self.store, self.cause = store, cause


class OptionError(SqsError, DeploymentError, ValueError):
    """A wrong entry in `broker_transport_options`."""


def classify(exc: Exception, operation: str, queue: str) -> SqsError:
    """The error of ours for what botocore raised; `operation` is SQS's name of the call."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(exc, SqsError):
        return exc
    if isinstance(exc, ClientError):
        return _of_answer(exc, operation, queue)
    if isinstance(exc, (BotoCoreError, OSError)):
        return UnavailableError(operation, queue, f"{type(exc).__name__}: {exc}")
    # botocore's parsers raise whatever a half answer makes them stumble over.
    return UnavailableError(operation, queue, f"unreadable answer: {exc!r}")


def _of_answer(exc: "ClientError", operation: str, queue: str) -> SqsError:
    code = str(exc.response.get("Error", {}).get("Code", ""))
    status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = str(exc.response.get("Error", {}).get("Message", "")) or str(exc)
    if code in MISSING_CODES:
        return QueueMissingError(operation, queue)
    if code in DENIED_CODES:
        return DeniedError(operation, queue, text)
    if is_passing(code, status):
        return UnavailableError(operation, queue, f"{code or status}: {text}")
    return RefusedError(operation, queue, code, text)


def is_passing(code: str, status: int = 0) -> bool:
    """Whether an error code of SQS, in an answer or in one entry of a batch, may be gone at the next try."""
    return (
        code in CREDENTIAL_CODES
        or code in THROTTLING_CODES
        or status >= 500
        or status in PASSING_STATUS
        or code in {"InternalError", "InternalFailure", "ServiceUnavailable", "RequestTimeout"}
        # An answer that names no code did not come from SQS's own logic.
        or code in {"", str(status)}
    )


def is_credentials(exc: BaseException) -> bool:
    """Whether a fresh look at the credentials could help."""
    from botocore.exceptions import ClientError

    return isinstance(exc, ClientError) and exc.response.get("Error", {}).get("Code") in CREDENTIAL_CODES
