"""What a worker does at remote commands where Celery's own answer would be wrong here."""

from collections.abc import Collection
from typing import Any

from celery.utils.functional import maybe_list
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.control import control_command, nok, ok

from tasks.execution.engine_client import EngineClient

logger = get_logger(__name__)


@control_command()
def heartbeat(node: Any) -> None:
    """Tell worker(s) to send event heartbeat immediately."""
    # Celery's own says that the next one follows in five seconds, and the worker would seem gone after ten.
    consumer = node.consumer
    if consumer.event_dispatcher is not None and consumer.heart is not None:
        consumer.event_dispatcher.send(
            "worker-heartbeat",
            freq=consumer.heart.interval,
            active=len(state.active_requests),
            processed=state.all_total_count[0],
            **state.SOFTWARE_INFO,
        )
        consumer.stats.publish()


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(node: Any, task_id: Any, terminate: bool = False, signal: Any = None, **_: Any) -> Any:
    """Cancel requests that have not begun, by their ids."""
    # Celery's own would read and write the result store here, in every worker and in the thread that receives.
    answer = cancel([str(one) for one in maybe_list(task_id) or [] if one], node.app.worker_context.engine)
    return ok(f"{answer}; to terminate is to cancel: what runs is not interrupted" if terminate else answer)


@control_command(variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(node: Any, signal: Any, task_id: Any, **_: Any) -> Any:
    """Cancel requests that have not begun: what runs is not interrupted."""
    return revoke(node, task_id, terminate=True)


# What Celery's pools of processes can do, by the commands that ask for it; Flower's buttons send them, too.
_SIZE = "the pool's size follows from devices and batch sizes: restart the worker with --concurrency to change it"
_REFUSED = {
    "pool_grow": ("[N=1]", [("n", int)], _SIZE),
    "pool_shrink": ("[N=1]", [("n", int)], _SIZE),
    "autoscale": ("[max [min]]", [("max", int), ("min", int)], _SIZE),
    "pool_restart": (None, [], "the pool is not restarted: restart the worker"),
    "time_limit": (
        "<task_name> <soft_secs> [hard_secs]",
        [("task_name", str), ("soft", float), ("hard", float)],
        "a running task is not interrupted: `time_limit_seconds` of a model in the catalogue bounds its batches",
    ),
}


def refuse_pool_commands() -> None:
    """Answer each of them with one sentence, instead of an AttributeError or of a promise that nothing keeps."""
    for name, (signature, arguments, sentence) in _REFUSED.items():

        def refuse(node: Any, *_: Any, sentence: str = sentence, **__: Any) -> Any:
            return nok(sentence)

        control_command(name=name, args=arguments, signature=signature)(refuse)


refuse_pool_commands()


def cancel(task_ids: Collection[str], engine: EngineClient) -> str:
    """End what waits here, and refuse what will be received; says what became of them."""
    state.revoked.update(task_ids)
    waiting = engine.cancel(task_ids)
    running = {request.id for request in tuple(state.active_requests)} & set(task_ids) - waiting
    parts = {"ended while they waited": waiting, "running": running, "refused when they come": set(task_ids)}
    parts["refused when they come"] -= waiting | running
    said = "; ".join(f"{what}: {', '.join(sorted(ids))}" for what, ids in parts.items() if ids)
    logger.info("revoked: %s", said or "nothing")
    return said or "nothing to revoke"
