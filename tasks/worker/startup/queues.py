"""At start, before models are loaded: what this worker needs of its queues."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery.utils.log import get_logger

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.errors import QueueMissingError, SqsError, UnavailableError
from celery_inference.sqs.lanes import Lane, lane_of
from celery_inference.sqs.options import TransportOptions
from celery_inference.sqs.queues.check import Difference, check
from celery_inference.sqs.queues.urls import queue_url
from tasks.worker.startup.lasting_faults import is_lasting, unknown_region

logger = get_logger(__name__)


def check_queues(app: Any) -> None:
    """Raise SystemExit, with one line, where a queue that the worker takes from is missing or a permission is denied.

    Other differences are warnings. An SQS that does not answer is neither: the worker starts, and waits for it.
    """
    with app.connection_for_read() as connection:
        transport = connection.transport
    clients, options = transport.clients, transport.options
    lanes = [lane for name in app.amqp.queues.consume_from if (lane := lane_of(name, options.lanes))]
    try:
        _make_others(clients, options, lanes)
        differences = _differences(clients, options, lanes)
    except (BotoCoreError, ClientError, UnavailableError) as error:
        region = None if clients.endpoint.url else clients.client.meta.region_name
        if (sentence := unknown_region(error, region)) or is_lasting(error):
            raise SystemExit(f"celery-inference: the queues cannot be reached: {sentence or error}") from error
        logger.warning("the queues cannot be checked, the worker waits for SQS: %s", error)
        return
    except SqsError as error:
        raise SystemExit(f"celery-inference: {error}") from error
    fatal = [difference for difference in differences if difference.fatal]
    if fatal:
        more = f" ({len(fatal) - 1} more: `celery-inference queues check`)" if len(fatal) > 1 else ""
        raise SystemExit(f"celery-inference: {fatal[0]}{more}")
    for difference in differences:
        logger.warning("%s", difference)


def _make_others(clients: SqsClients, options: TransportOptions, lanes: list[Lane]) -> None:
    """On a machine of its own, where lanes make themselves, also those that no worker takes from: Flower and `dlq` ask
    for all of them. One that cannot be made is no reason not to work on the others.
    """
    if options.create_missing_lanes:
        for lane in options.lanes:
            if lane not in lanes:
                with suppress(SqsError):
                    queue_url(clients, options, lane.name)


def _differences(clients: SqsClients, options: TransportOptions, lanes: list[Lane]) -> list[Difference]:
    """Of all lanes, asked at the same time; makes the ones that are missing if the options allow it."""

    def differences_of(lane: Lane) -> list[Difference]:
        with suppress(QueueMissingError):  # `check` says so, and of the dead-letter queue, too
            queue_url(clients, options, lane.name)
        return check(clients.client, lane)

    if not lanes:
        return []
    with ThreadPoolExecutor(len(lanes), thread_name_prefix="queue-check") as pool:
        return [difference for found in pool.map(differences_of, lanes) for difference in found]
