"""At start, before models are loaded: what this worker needs of its result store."""

import uuid
from typing import Any
from urllib.parse import urlsplit

from celery.exceptions import ImproperlyConfigured
from celery.utils.log import get_logger

from celery_inference.redaction import without_secret
from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable
from tasks.worker.startup.lasting_faults import is_lasting

logger = get_logger(__name__)


def _backend(app: Any) -> Any:
    try:
        return app.backend
    except (ImproperlyConfigured, ImportError) as error:
        url = without_secret(str(app.conf.result_backend))
        raise SystemExit(f"celery-inference: the result backend {url} cannot be used: {error}") from error


def check_result_store(app: Any) -> None:
    """Write to the result store once. Raises SystemExit, with one line, where it lacks its table, has another's, or
    no waiting mends what keeps it from the write.

    One that does not answer is only a warning: the worker starts, and waits for it. So is one of Celery's own.
    """
    backend = _backend(app)
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
        if not lacks:
            backend.store.hold(f"start#{uuid.uuid4().hex}", "start", 1.0)
    except StoreUnavailable as error:
        if is_lasting(error):
            raise SystemExit(f"celery-inference: the result store {uri} cannot be used: {error}") from error
        logger.warning("the result store cannot be checked, the worker waits for it: %s", error)
        return
    for weakness in weaknesses:
        logger.warning("the result store %s promises less than it should: %s", uri, weakness)
    if lacks:
        raise SystemExit(
            f"celery-inference: {uri} is not the table of a result store: {', '.join(lacks)}; deploy/infra declares one"
        )
