"""Every error that a caller can meet, under one root, InferenceError.

    InferenceError
    ├── InvalidInput (also a ValueError)   the caller's fault: HTTP 422; the same request fails the same way again
    │   ├── UnknownModel                   no model of that name in the sender's catalogue
    │   ├── UnknownOption                  no option of that name in the model's spec, no such keyword
    │   ├── ResultTooLarge                 the result, or the error, is larger than the result store keeps
    │   ├── MessageTooLargeError           the message does not fit, and there is no store for what does not
    │   ├── DelayRefusedError              a FIFO queue takes no countdown
    │   └── UndecodableError               a message that no worker can read; what is said to be an upload is none
    │       └── ClaimGoneError             the upload is there no more
    ├── ModelFailed                        the model's fault: HTTP 500; `model_traceback` is its own
    │   ├── InputFailed                    run alone, the input made it raise, or compute what is not a number
    │   └── DeviceCrash                    run alone, the input ended the device process twice, or ran past its time
    ├── Transient                          the infrastructure's fault: HTTP 503; another try may succeed
    │   ├── DeviceLost                     the device failed, or no device is left
    │   ├── ModelOut                       no device of a worker has the model any more
    │   ├── EngineStopped                  no engine runs, or it stopped before the request had begun
    │   ├── ClaimStoreAway                 the store of uploads could not be read
    │   ├── AttemptsUsedUp                 every attempt died with its worker, without an error
    │   ├── ResultTimeout                  `get(timeout=…)` waited so long; also Celery's TimeoutError
    │   ├── StoreUnavailable               the result store does not answer; also an OSError
    │   ├── UnavailableError               SQS did not answer, or said that it cannot now
    │   │   └── BulkSendError              so of some of many messages
    │   ├── ClaimStoreError                the store of uploads cannot be used now, or not by us
    │   └── NotAskedError                  a command for workers could not be sent
    ├── DeploymentError                    the deployment's fault: HTTP 500; an operator must act
    │   ├── NotServedHere                  no worker of the lane knows the task, model or option, or has the store
    │   ├── AnotherApplication             a canvas of our tasks and of another Celery application's
    │   ├── CatalogueError                 a catalogue that cannot be read
    │   ├── LanesError                     a file of lanes that cannot be read
    │   ├── SettingError                   a setting that cannot be; also Celery's ImproperlyConfigured
    │   ├── QueueMissingError              the queue does not exist; the sentence says how to make it
    │   ├── DeniedError                    the role's policy does not allow the call
    │   ├── RefusedError                   SQS does not accept the call; another try changes nothing
    │   ├── NoRegionError                  no AWS region is named anywhere
    │   ├── OptionError                    a transport option that does not exist or cannot be
    │   └── BroadcastOffError              a command for workers, where commands are switched off
    ├── Expired                            nobody's fault: its deadline passed before its batch was sealed
    │   └── RequestExpired                 the same, as it is stored; also Celery's TaskRevokedError
    ├── Cancelled                          nobody's fault: who sent it wants it no more
    │   └── RequestCancelled               the same, as it is stored; also Celery's TaskRevokedError
    └── SqsError                           beside one of the four: SQS refuses a call, or does not answer

`error.fault`, a Fault, is "caller", "model", "infrastructure", "deployment", or None. `error.http_status` is what a web
application may answer: 422, 500, 503 and 500; 504 for Expired and ResultTimeout, 409 for Cancelled.

RequestExpired and RequestCancelled come with Celery's state REVOKED: they are outcomes of their own, and no failures.

Attributes say what a program may want to know: `field`, `index` (which of several inputs), `limit`, `allowed` (the
names that are), `nearest` and `model_traceback`. They are the same whether `delay()` raised the error or `get()` did.

Not among them: TypeError for arguments that do not fit a task's signature, as for any function of Python.
"""

from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import SerializerNotInstalled

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.store.values import ResultTooLarge
from celery_inference.setting_values import SettingError
from celery_inference.specs.errors import (
    Cancelled,
    CatalogueError,
    ClaimStoreAway,
    DeploymentError,
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    Fault,
    InferenceError,
    InputFailed,
    InvalidInput,
    ModelFailed,
    ModelOut,
    NotServedHere,
    Transient,
    UnknownModel,
    UnknownOption,
)
from celery_inference.sqs.errors import (
    BroadcastOffError,
    ClaimGoneError,
    ClaimStoreError,
    DelayRefusedError,
    DeniedError,
    MessageTooLargeError,
    NoRegionError,
    NotAskedError,
    OptionError,
    QueueMissingError,
    RefusedError,
    SqsError,
    UnavailableError,
    UndecodableError,
)
from celery_inference.sqs.lanes import LanesError
from celery_inference.sqs.producer.bulk_send import BulkSendError

__all__ = [
    "AnotherApplication",
    "AttemptsUsedUp",
    "BroadcastOffError",
    "BulkSendError",
    "Cancelled",
    "CatalogueError",
    "ClaimGoneError",
    "ClaimStoreAway",
    "ClaimStoreError",
    "DelayRefusedError",
    "DeniedError",
    "DeploymentError",
    "DeviceCrash",
    "DeviceLost",
    "EngineStopped",
    "Expired",
    "Fault",
    "InferenceError",
    "InputFailed",
    "InvalidInput",
    "LanesError",
    "MessageTooLargeError",
    "ModelFailed",
    "ModelOut",
    "NoRegionError",
    "NotAskedError",
    "NotServedHere",
    "OptionError",
    "QueueMissingError",
    "RefusedError",
    "RequestCancelled",
    "RequestExpired",
    "ResultTimeout",
    "ResultTooLarge",
    "SettingError",
    "SqsError",
    "StoreUnavailable",
    "Transient",
    "UnavailableError",
    "UndecodableError",
    "UnknownModel",
    "UnknownOption",
]


class RequestExpired(Expired, TaskRevokedError):
    """The deadline passed before the request's work began."""


class RequestCancelled(Cancelled, TaskRevokedError):
    """The request was revoked."""


class ResultTimeout(Transient, CeleryTimeoutError):
    """There was no outcome within the time that `get()` was given. The request goes on."""

    http_status = 504


class AttemptsUsedUp(Transient):
    """Every attempt of the request ended without a word: each worker that had it died."""


class AnotherApplication(DeploymentError, SerializerNotInstalled):
    """A task of ours in a link, chain, group or chord of another Celery application; the request was not sent.

    kombu's, too, because that is the one error which passes out of its encoders as it is.
    """
