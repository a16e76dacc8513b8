"""At start, before models are loaded: does the result store keep what outcomes need, and is its table there?"""

from typing import Any
from urllib.parse import urlsplit

from celery import bootsteps
from celery.utils.log import get_logger

from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable

logger = get_logger(__name__)


class StoreCheck(bootsteps.Step):
    """A step of the worker. A store that lacks its table, or has another's, ends the worker with one line.

    One that does not answer is only a warning: the worker starts, and waits for it. So is one of Celery's own.
    """

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        backend = worker.app.backend
        uri = backend.as_uri(include_password=False)
        if store_of(worker.app) is None:
            logger.warning(
                "the result backend %s keeps outcomes alone, and not each of them for good: deliveries count as"
                " attempts, a kill may hang a chord, and there is no index of dead letters and no sweep;"
                " docs/outcomes.md has the rest. sqlite:///FILE and dynamodb://REGION/TABLE keep all of it",
                uri,
            )
            return
        if uri.startswith("sqlite:") and urlsplit(worker.app.conf.broker_url).hostname is None:
            logger.warning(
                "the broker is AWS's, and results are kept on this host alone, in %s: senders and workers elsewhere"
                " never see them. CELERY_RESULT_BACKEND=dynamodb://REGION/TABLE is a store for all of them",
                uri,
            )
        try:
            lacks = backend.check()
        except StoreUnavailable as error:
            logger.warning("the result store cannot be checked, the worker waits for it: %s", error)
            return
        if lacks:
            raise SystemExit(
                f"celery-inference: {uri} is not the table of a result store: {', '.join(lacks)};"
                " deploy/infra declares one"
            )
