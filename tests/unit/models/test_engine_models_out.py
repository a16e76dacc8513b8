"""Which models a device serves is told of in the order in which it came about, whichever thread is slow."""

import threading
from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import discover
from models.engine import Engine

SPEC = ModelSpec(name="m", task="fill-mask", source="/nowhere", options=PIPELINE_TASKS["fill-mask"].options)


class Keeper:
    state = "ready"
    serving = True

    def serves(self, _: str) -> bool:
        return self.serving

    def has(self, _: str) -> bool:
        return True

    def why_not(self, _: str) -> str:
        return "it is out of memory"


def test_gone_and_back_end_with_an_open_model() -> None:
    told: list[tuple[str, bool]] = []
    engine = Engine([SPEC], discover("cpu"), on_out=lambda name, why: told.append((name, bool(why))))
    supervisor: Any = Keeper()
    engine._supervisors = [supervisor]
    entered, go_on, shut = threading.Event(), threading.Event(), engine._scheduler.shut

    def slow(*arguments: Any) -> None:
        entered.set()
        go_on.wait(10)
        shut(*arguments)

    engine._scheduler.shut = slow  # type: ignore[method-assign]
    supervisor.serving = False
    gone = threading.Thread(target=engine._look_for_models)
    gone.start()
    assert entered.wait(10)
    supervisor.serving = True
    back = threading.Thread(target=engine._look_for_models)
    back.start()
    back.join(0.2)
    go_on.set()
    gone.join(10)
    back.join(10)
    assert told == [("m", True), ("m", False)]
    assert not engine._scheduler._out
