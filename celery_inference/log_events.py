"""The names of log lines that programs look for: they stay, whatever their sentences become.

A line has one beside its sentence, with facts: `logger.error("…", extra=event("lane_paused", lane=lane))`. Workers
write both with `--log-format json`. docs/monitoring.md lists the names; a test compares it, this table and the code.
"""

from typing import Any

EVENTS = {
    "worker_ready": "it receives, from its start or again; models, devices, queues, result store are beside it",
    "worker_unready": "it cannot receive, run or store, and why; /ready says the same",
    "worker_stops": "the worker ends, and why",
    "worker_paused": "nothing more is received, and why",
    "worker_resumed": "that is over",
    "worker_name_taken": "another worker has the same name",
    "lane_paused": "too much of the lane failed; it waits for an operator",
    "lane_resumed": "the lane is consumed again",
    "model_out": "a model cannot be served by this worker now",
    "device_failed": "a device process died or did not load its models; it is tried again",
    "model_isolated": "a model that crashes again and again has a device process of its own now",
    "model_not_isolated": "it should have one, but there is no memory for it",
    "model_rejoined": "it has behaved for an hour and shares a device process again",
    "calls_fail": "a call to SQS or to another service fails, and again each minute while it does",
    "calls_work": "it works again",
    "inputs_failed": "a model failed on inputs of a request that succeeds, because its caller asked for their errors",
    "message_unreadable": "a message became a dead letter because it cannot be read",
    "request_succeeded": "a request ended in SUCCESS",
    "request_failed": "a request ended in FAILURE",
    "request_retried": "an attempt failed; another one follows",
    "request_rejected": "a delivery went back to its queue or became a dead letter",
}


def event(name: str, **facts: Any) -> dict[str, Any]:
    """What `extra` of a logging call is to be: one of EVENTS, and facts that JSON can hold."""
    return {"event": name, "facts": facts}
