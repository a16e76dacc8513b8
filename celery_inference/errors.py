"""Every error that a caller can meet, under one root, InferenceError.

    InferenceError
    ├── InvalidInput (also a ValueError)   the caller's fault; the same request fails the same way again
    │   ├── UnknownModel                   no model of that name in the catalogue
    │   ├── UnknownOption                  no option of that name in the model's spec
    │   ├── DeviceCrash                    run alone, it ended its device process twice
    │   └── InputFailed                    run alone, it made the model raise
    ├── Expired                            its deadline passed before its batch was sealed
    │   └── RequestExpired                 the same, as it is stored; also Celery's TaskRevokedError
    ├── Cancelled                          who sent it wants it no more
    │   └── RequestCancelled               the same, as it is stored; also Celery's TaskRevokedError
    ├── AttemptsUsedUp                     every attempt died with its worker, without an error
    ├── AnotherApplication                 a canvas of our tasks and of another Celery application's
    ├── Transient                          nobody's fault; another delivery may succeed
    │   ├── DeviceLost                     the device failed, or no device is left
    │   ├── ModelOut                       no device of a worker has the model any more
    │   ├── EngineStopped                  no engine runs, or it stopped before the request had begun
    │   ├── NotServedHere                  no worker of the lane has loaded the model, or has a store of uploads
    │   └── ClaimStoreAway                 the store of uploads could not be read
    ├── ResultTimeout                      `get(timeout=…)` waited so long; also Celery's TimeoutError
    ├── ResultTooLarge (also a ValueError) the result, or the error, is larger than the result store keeps
    ├── CatalogueError                     a catalogue that cannot be read
    ├── SettingError                       a setting that cannot be; also Celery's ImproperlyConfigured
    ├── LanesError                         a file of lanes that cannot be read
    ├── StoreUnavailable (also an OSError) the result store does not answer
    └── SqsError                           SQS refuses a call, or does not answer
        ├── UnavailableError               it did not answer, or said that it cannot now; try again
        │   └── BulkSendError              so of some of many messages
        ├── QueueMissingError              the queue does not exist; the sentence says how to make it
        ├── DeniedError                    the role's policy does not allow the call
        ├── RefusedError                   SQS does not accept the call; another try changes nothing
        ├── NoRegionError                  no AWS region is named anywhere
        ├── MessageTooLargeError           the message does not fit, and there is no store for what does not
        ├── DelayRefusedError              a FIFO queue takes no countdown
        ├── OptionError                    a transport option that does not exist or cannot be
        ├── ClaimStoreError                the store of uploads cannot be used now, or not by us
        ├── UndecodableError               what is said to be an upload is none
        │   └── ClaimGoneError             the upload is there no more
        ├── BroadcastOffError              a command for workers, where commands are switched off
        └── NotAskedError                  a command for workers could not be sent

RequestExpired and RequestCancelled come with Celery's state REVOKED: they are outcomes of their own, and no failures.

An InvalidInput says in attributes what a program may want to know: `field`, `index` (which of several inputs), `limit`,
`allowed` (the names that are) and `nearest`. They are the same whether `delay()` raised it or `get()` did. All others
have their sentence alone when they come through `get()`.

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
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    InferenceError,
    InputFailed,
    InvalidInput,
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
    "DeviceCrash",
    "DeviceLost",
    "EngineStopped",
    "Expired",
    "InferenceError",
    "InputFailed",
    "InvalidInput",
    "LanesError",
    "MessageTooLargeError",
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


class ResultTimeout(InferenceError, CeleryTimeoutError):
    """There was no outcome within the time that `get()` was given. The request goes on."""


class AttemptsUsedUp(InferenceError):
    """Every attempt of the request ended without a word: each worker that had it died."""


class AnotherApplication(InferenceError, SerializerNotInstalled):
    """A task of ours in a link, chain, group or chord of another Celery application; the request was not sent.

    kombu's, too, because that is the one error which passes out of its encoders as it is.
    """
