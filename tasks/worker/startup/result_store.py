"""At start, before models are loaded: what this worker needs of its result store."""

from typing import Any
from urllib.parse import urlsplit

from celery.utils.log import get_logger

from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable

logger = get_logger(__name__)


def check_result_store(app: Any) -> None:
    """Raise SystemExit, with one line, where the result store lacks its table, or has another's.

    One that does not answer is only a warning: the worker starts, and waits for it. So is one of Celery's own.
    """
    backend = app.backend
    uri = backend.as_uri(include_password=False)
    if store_of(app) is None:
        logger.warning(
            "the result backend %s keeps outcomes alone, and not each of them for good: deliveries count as"
            " attempts, a kill may hang a chord, and there is no index of dead letters and no reconciler;"
            " docs/stores.md has the rest. sqlite:///FILE, dynamodb://REGION/TABLE and redis://HOST keep all of it",
            uri,
        )
        return
    if uri.startswith("sqlite:") and urlsplit(app.conf.broker_url).hostname is None:
        logger.warning(
            "the broker is AWS's, and results are kept on this host alone, in %s: senders and workers elsewhere"
            " never see them. CELERY_INFERENCE_RESULT_BACKEND=dynamodb://REGION/TABLE is a store for all of them",
            uri,
        )
    try:
        lacks = backend.check()
        weaknesses = backend.table.weaknesses()
    except StoreUnavailable as error:
        logger.warning("the result store cannot be checked, the worker waits for it: %s", error)
        return
    for weakness in weaknesses:
        logger.warning("the result store %s promises less than it should: %s", uri, weakness)
    if lacks:
        raise SystemExit(
            f"celery-inference: {uri} is not the table of a result store: {', '.join(lacks)}; deploy/infra declares one"
        )
