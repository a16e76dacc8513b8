"""A kombu transport for Amazon SQS that receives in threads, renews leases and batches its calls.

Chosen by `broker_transport = "celery_inference.sqs.transport.connection:Transport"`; the URL stays `sqs://`. Without a
host it is AWS, with credentials from the usual places; `sqs://key:secret@127.0.0.1:9324//` is a server of one's own. It
needs no event loop: Celery uses its blocking loop, and its threads pool is the one this is made for.

`broker_transport_options` (unknown ones are refused):

region                  AWS region; default: AWS's usual places
is_secure               https for a host named in the URL; default False
lanes                   tuple of `celery_inference.sqs.lanes.Lane`, the declared queues; default LANES
create_missing_lanes    make a declared lane that does not exist; default False
lease_seconds           SQS's visibility timeout of each receive, renewed at a third of it; default 30
lease_cap_seconds       for how long one delivery is renewed at most; default 21,600
wait_time_seconds       an idle long poll, 0 to 20; default 10
gather_seconds          how long a busy queue waits for slots, to fill a receive; default 0.01
call_timeout_seconds    one answer of SQS, long polls apart; default 10
release_cap_seconds     longest delay of a released message, full jitter below it; default 300
unknown_task_grace_seconds  for how long after it was sent what the worker does not know is left to newer workers;
                        default 0, it becomes a dead letter at once
weights                 {queue: weight} for sharing slots among queues; default: the lane's, 1 where none is declared
worker_name             named in the reasons of dead letters
claim_check             where payloads are kept that do not fit into a message: `file:///FOLDER` or `s3://BUCKET/PREFIX`;
                        default: nowhere, they are refused
broadcast_prefix        how the names of the queues of Celery's events and remote control begin; default: none, both
                        are off, and no queue is listed or made for them
delete_messages         False: who received a message for us deletes it, as Lambda's event source does; default True

Acknowledging deletes, rejecting with requeue releases with backoff, rejecting without requeue makes a dead
letter. Task options: `countdown`/`eta` become DelaySeconds, `delay_seconds=N` is one directly,
`MessageGroupId=…` or `tenant=…` sets the message group, `MessageDeduplicationId=…` the id of FIFO queues. A FIFO
group runs one message at a time; a released one blocks its group until it is visible again.

A worker's signal handlers call `stop_receiving` at the first signal, and `release_everything` when its time to
finish is over. What a callback raises ends its message and is logged; it does not reach `drain_events`.
"""

import contextlib
import queue
import time
from typing import Any

from kombu.transport import virtual

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint, clients_of
from celery_inference.sqs.broadcast.inbox import Ready
from celery_inference.sqs.broadcast.node import Node, node_of
from celery_inference.sqs.consumer.shutdown import release_everything, stop_receiving
from celery_inference.sqs.errors import UnavailableError
from celery_inference.sqs.options import TransportOptions, read_options
from celery_inference.sqs.transport.broadcast_channel import BroadcastChannel
from celery_inference.sqs.transport.channel import Channel

__all__ = ["Channel", "Transport", "release_everything", "stop_receiving"]


class Transport(virtual.Transport):
    """One kombu connection. It holds no socket: clients are the process's, see `celery_inference.sqs.api.clients`."""

    Channel = BroadcastChannel
    driver_type = "sqs"
    driver_name = "sqs"
    default_port = None
    polling_interval = None

    connection_errors = (*virtual.Transport.connection_errors, UnavailableError)
    channel_errors = virtual.Transport.channel_errors
    recoverable_connection_errors = (UnavailableError,)
    recoverable_channel_errors = ()

    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset({"direct"}), heartbeats=False, batch_publish=True
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.options: TransportOptions = read_options(client.transport_options or {})
        self.endpoint = _endpoint(client, self.options)
        self.ready: Ready = queue.SimpleQueue()
        if self.options.broadcast_prefix is not None:
            self.implements = self.implements.extend(exchange_type=frozenset({"direct", "topic", "fanout"}))

    @property
    def clients(self) -> SqsClients:
        """This process's clients and queue URLs."""
        return clients_of(self.endpoint)

    @property
    def node(self) -> Node | None:
        """This process's part in Celery's events and remote control, None where they are off."""
        prefix = self.options.broadcast_prefix
        return None if prefix is None else node_of(self.clients, prefix)

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """Nothing by default: a missing host means AWS."""
        return {"port": None}

    def driver_version(self) -> str:
        """Of what talks to SQS."""
        import botocore

        return f"botocore {botocore.__version__}"

    def establish_connection(self) -> "Transport":
        """Makes no call. After failed sends it waits as the retry policy says, because kombu waits only here."""
        failures = getattr(self.client, "sqs_failures", 0)
        if failures:
            policy = self.client.transport_options
            start, step = float(policy.get("interval_start", 0)), float(policy.get("interval_step", 0.2))
            time.sleep(min(start + step * failures, float(policy.get("interval_max", 1))))
        connection: Transport = super().establish_connection()
        return connection

    def record_failure(self) -> None:
        """A send failed; counted on the kombu connection, which outlives its transports."""
        self.client.sqs_failures = getattr(self.client, "sqs_failures", 0) + 1

    def record_success(self) -> None:
        """A send went through."""
        if getattr(self.client, "sqs_failures", 0):
            self.client.sqs_failures = 0

    def close_connection(self, connection: Any) -> None:
        """Close all channels."""
        for channels in self._avail_channels, self.channels:
            while channels:
                with contextlib.suppress(IndexError):
                    channels.pop().close()

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Hand one message to its consumer; blocks for at most `timeout` seconds, then raises socket.timeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            item = self._next(deadline)
            if item is None:
                continue
            source, message = item
            if source.hand_over(message, self._callbacks.get(message.delivery.queue)):
                return

    def _next(self, deadline: float | None) -> tuple[Any, Any] | None:
        """What is ready; None to look again. Waits until the deadline, and not at all in a process that stops."""
        try:
            return self.ready.get_nowait()
        except queue.Empty:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return self.ready.get(timeout=0.0 if self._stopping() else left)
        except queue.Empty:
            raise TimeoutError from None

    def _stopping(self) -> bool:
        """Whether the process was told to stop, and has nothing to wait for; raises what ends a consumer."""
        consumings = [channel.consuming for channel in self.channels if channel.consuming is not None]
        for consuming in consumings:
            if consuming.fatal is not None:
                raise consuming.fatal
        return any(consuming.stopping for consuming in consumings)


def _endpoint(client: Any, options: TransportOptions) -> SqsEndpoint:
    url = None
    if client.hostname:
        scheme = "https" if options.is_secure else "http"
        url = f"{scheme}://{client.hostname}" + (f":{client.port}" if client.port else "")
    return SqsEndpoint(
        url=url,
        region=options.region,
        access_key=client.userid or None,
        secret_key=client.password or None,
        call_timeout_seconds=options.call_timeout_seconds,
    )
