"""The desk resolves every request, whatever happens to its rows, to its neighbours or to the device."""

import random
import threading
import weakref
from collections import Counter
from typing import Any

import pytest

from celery_inference.specs.errors import (
    DeviceCrash,
    DeviceLost,
    EngineStopped,
    Expired,
    InferenceError,
    InputFailed,
    InvalidInput,
)
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import Device
from models.scheduling.batching import limits_of
from models.scheduling.requests import Batch
from models.scheduling.scheduler import Scheduler

CPU = Device("cpu", "cpu", 1, description="one core")


def spec(name: str = "m", task: str = "feature-extraction", **values: Any) -> ModelSpec:
    return ModelSpec(
        name=name, task=task, source="/m", options=PIPELINE_TASKS[task].options, **{"batch_size": 4, **values}
    )


class Bench:
    """A desk with a clock that the test turns."""

    def __init__(self, *specs: ModelSpec, max_bytes: int = 10**6) -> None:
        self.now = 100.0
        self.idle = threading.Event()
        specs = specs or (spec(),)
        self.limits = {one.name: limits_of(one, Device("cuda:0", "cuda", 2)) for one in specs}
        self.scheduler = Scheduler(specs, max_bytes=max_bytes, clock=lambda: self.now)

    def submit(self, *texts: str, model: str = "m", deadline: float | None = None, **options: Any) -> Any:
        return self.scheduler.submit(model, list(texts), options, deadline, "id")

    def submit_each(self, *texts: str, errors: dict[int, InferenceError] | None = None) -> Any:
        """With `return_errors`, where some may have failed already."""
        return self.scheduler.submit("m", list(texts), {}, None, "id", errors=errors or {})

    def fail(self, batch: Batch, bad: str, error: str, sentence: str, **facts: Any) -> None:
        """Answer a batch of which one row fails."""
        failed = {"error": error, "sentence": sentence, "facts": facts}
        self.scheduler.answer(batch, [failed if row.value == bad else {"ok": row.value.upper()} for row in batch.rows])

    def ask(self, idle: threading.Event | None = None, **how: bool) -> Batch | None:
        return self.scheduler.seal(idle or self.idle, self.limits, CPU, **how)

    def seal(self) -> Batch:
        batch = self.ask()
        assert batch is not None
        return batch

    def echo(self, batch: Batch) -> None:
        self.scheduler.answer(batch, [{"ok": row.value.upper()} for row in batch.rows])


def test_requests_of_one_model_share_a_batch_and_each_gets_its_own_answer() -> None:
    bench = Bench()
    futures = [bench.submit(text) for text in ("one", "two", "three")]
    bench.echo(bench.seal())
    assert [f.result(0) for f in futures] == [["ONE"], ["TWO"], ["THREE"]]
    assert bench.scheduler.sizes["requests"] == 0


def test_a_list_is_split_over_batches_and_joined_in_order() -> None:
    bench = Bench()
    future = bench.submit(*(f"text {'x' * i}" for i in range(10)))
    while batch := bench.ask():
        assert len(batch.rows) <= 4
        bench.echo(batch)
    assert future.result(0) == [f"TEXT {'X' * i}" for i in range(10)]


def test_a_list_whose_results_are_too_large_together_fails_alone() -> None:
    bench = Bench(spec(max_result_bytes=20))
    fits, large = bench.submit("a", "b"), bench.submit("c" * 9, "d" * 9)
    while batch := bench.ask():
        bench.scheduler.answer(batch, [{"ok": row.value, "bytes": 15} for row in batch.rows])
    assert fits.result(0) == ["a", "b"], "the sum of what was estimated is too large, and the results are not"
    with pytest.raises(InvalidInput, match="the result has 26 bytes; at most 20 are allowed"):
        large.result(0)
    assert bench.scheduler.sizes["requests"] == 0


def test_one_bad_input_fails_alone() -> None:
    bench = Bench()
    good, bad = bench.submit("good"), bench.submit("bad")
    batch = bench.seal()
    bench.scheduler.answer(
        batch,
        [
            {"error": "InvalidInput", "sentence": "inputs has 900 tokens"} if row.value == "bad" else {"ok": 1}
            for row in batch.rows
        ],
    )
    assert good.result(0) == [1]
    with pytest.raises(InvalidInput, match=r"^inputs has 900 tokens$"):
        bad.result(0)


def test_the_bad_one_of_a_list_is_named_and_the_rest_of_the_list_not_run() -> None:
    bench = Bench(spec(batch_size=1))
    future = bench.submit("a", "b", "c")
    bench.echo(bench.seal())
    bench.scheduler.answer(bench.seal(), [{"error": "InputFailed", "sentence": "inputs made the model raise"}])
    with pytest.raises(InputFailed, match=r"^inputs\[1\] made the model raise$"):
        future.result(0)
    assert bench.ask() is None


@pytest.mark.parametrize(
    ("part", "field"), [("", "inputs[1]"), (" image", "inputs[1] image"), ("[0] role", "inputs[1][0] role")]
)
def test_a_part_of_one_of_several_inputs_is_named_with_its_place(part: str, field: str) -> None:
    bench = Bench()
    future = bench.submit("a", "bad")
    bench.fail(bench.seal(), "bad", "InvalidInput", f"inputs{part} is no good", field=f"inputs{part}", limit=7)
    with pytest.raises(InvalidInput) as caught:
        future.result(0)
    error = caught.value
    assert (str(error), error.field, error.index, error.limit) == (f"{field} is no good", field, 1, 7)


def test_a_row_that_fails_is_answered_by_its_error_and_the_others_by_their_results() -> None:
    bench = Bench(spec(batch_size=2))
    future = bench.submit_each("a", "b", "c", "d")
    bench.fail(bench.seal(), "b", "InvalidInput", "inputs has 900 tokens", field="inputs", limit=8)
    assert not future.done(), "the rest of the list runs"
    bench.fail(bench.seal(), "c", "InputFailed", "inputs made the model raise", model_traceback="its own")
    a, b, c, d = future.result(0)
    assert (a, d) == ("A", "D")
    assert (type(b), str(b), b.field, b.index, b.limit) == (InvalidInput, "inputs[1] has 900 tokens", "inputs[1]", 1, 8)
    assert (type(c), str(c), c.index, c.model_traceback) == (
        InputFailed,
        "inputs[2] made the model raise",
        2,
        "its own",
    )
    assert bench.scheduler.sizes == {"requests": 0, "waiting_rows": 0, "bytes": 0}


def test_a_row_that_kills_its_device_process_is_answered_by_that_beside_its_neighbours() -> None:
    bench = Bench()
    future = bench.submit_each("one", "boom", "two")
    assert not bench.scheduler.suspect([bench.seal()], "killed by SIGKILL")
    while batch := bench.ask():
        if batch.rows[0].value == "boom":
            bench.scheduler.suspect([batch], "killed by SIGKILL")
        else:
            bench.echo(batch)
    one, boom, two = future.result(0)
    assert (one, two) == ("ONE", "TWO")
    assert (type(boom), boom.index) == (DeviceCrash, 1)


def test_rows_that_have_failed_already_go_to_no_device() -> None:
    bench = Bench()
    known = InvalidInput("inputs[0] is empty")
    future = bench.submit_each("", "b", errors={0: known})
    batch = bench.seal()
    assert [(row.value, row.index) for row in batch.rows] == [("b", 1)]
    bench.echo(batch)
    assert future.result(0) == [known, "B"]
    assert bench.submit_each("", errors={0: known}).result(0) == [known], "no device is asked"
    assert bench.ask() is None


@pytest.mark.parametrize(
    ("error", "facts"),
    [("InvalidInput", {"field": "option top_k"}), ("UnknownOption", {"field": "option"}), ("DeviceLost", {})],
)
def test_what_is_no_row_s_own_fault_ends_the_request(error: str, facts: dict[str, Any]) -> None:
    bench = Bench()
    future = bench.submit_each("a", "b")
    bench.fail(bench.seal(), "b", error, "said so", **facts)
    caught = future.exception(0)
    assert (type(caught).__name__, str(caught), caught.index) == (error, "said so", None)


def test_results_that_are_too_large_together_end_the_request_also_beside_errors() -> None:
    bench = Bench(spec(max_result_bytes=20))
    fits, large = bench.submit_each("a", "bad"), bench.submit_each("c" * 9, "d" * 9, "bad")
    while batch := bench.ask():
        failed = {"error": "InvalidInput", "sentence": "inputs is bad"}
        bench.scheduler.answer(
            batch, [failed if row.value == "bad" else {"ok": row.value, "bytes": 25} for row in batch.rows]
        )
    assert fits.result(0)[0] == "a"
    with pytest.raises(InvalidInput, match="the result has 26 bytes; at most 20 are allowed"):
        large.result(0)


def test_a_crash_makes_every_member_run_alone_and_only_the_guilty_fails() -> None:
    bench = Bench()
    futures = {text: bench.submit(text) for text in ("one", "two", "boom")}
    assert not bench.scheduler.suspect([bench.seal()], "killed by SIGKILL")
    kills = 0
    while batch := bench.ask():
        assert len(batch.rows) == 1
        if batch.rows[0].value == "boom":
            kills += 1
            assert bench.scheduler.suspect([batch], "killed by SIGKILL")
        else:
            bench.echo(batch)
    assert kills == 2
    assert (futures["one"].result(0), futures["two"].result(0)) == (["ONE"], ["TWO"])
    with pytest.raises(DeviceCrash, match="ended the device process 2 times when run alone: killed by SIGKILL"):
        futures["boom"].result(0)


def test_suspects_wait_for_those_that_are_not() -> None:
    bench = Bench()
    bench.submit("suspect")
    bench.scheduler.suspect([bench.seal()], "killed")
    bench.submit("fresh")
    assert [row.value for row in bench.seal().rows] == ["fresh"]
    assert [row.value for row in bench.seal().rows] == ["suspect"]


def test_a_batch_that_had_not_started_comes_back_without_suspicion() -> None:
    bench = Bench()
    futures = [bench.submit("one"), bench.submit("two")]
    bench.scheduler.give_back([bench.seal()])
    batch = bench.seal()
    assert len(batch.rows) == 2
    bench.echo(batch)
    assert [f.result(0) for f in futures] == [["ONE"], ["TWO"]]


def test_a_device_that_failed_is_nobodys_fault() -> None:
    bench = Bench()
    future = bench.submit("one")
    bench.scheduler.release(bench.seal(), "CUDA error: an illegal memory access")
    with pytest.raises(DeviceLost, match="illegal memory access"):
        future.result(0)


def test_an_expired_request_never_reaches_the_device() -> None:
    bench = Bench()
    late, fine = bench.submit("late", deadline=105), bench.submit("fine")
    bench.now = 106
    bench.scheduler.expire()
    with pytest.raises(Expired):
        late.result(0)
    assert [row.value for row in bench.seal().rows] == ["fine"]
    assert not fine.done()


def test_a_cancelled_request_never_reaches_the_device() -> None:
    bench = Bench()
    cancelled, fine = bench.submit("cancelled"), bench.submit("fine")
    assert cancelled.cancel()
    assert [row.value for row in bench.seal().rows] == ["fine"]
    assert not fine.cancel()
    assert bench.scheduler.sizes["requests"] == 1


def test_when_only_cancelled_requests_wait_there_is_no_batch() -> None:
    bench = Bench()
    bench.submit("cancelled").cancel()
    assert bench.ask() is None
    assert bench.scheduler.sizes["requests"] == 0


def test_an_input_is_let_go_when_its_request_is_answered() -> None:
    class Text(str):
        """A text that can be watched."""

    bench, text = Bench(), Text("watched")
    watched = weakref.ref(text)
    future = bench.submit(text)
    bench.echo(bench.seal())
    del text
    assert future.result(0) == ["WATCHED"]
    assert watched() is None


def test_what_generation_will_write_counts_in_the_token_budget() -> None:
    bench = Bench(spec(task="text-generation", batch_size=8, batch_tokens=1000))
    for _ in range(8):
        bench.submit("prompt", max_new_tokens=240)
    assert len(bench.seal().rows) == 4


def test_a_text_counts_for_no_more_than_it_is_cut_to() -> None:
    bench = Bench(spec(max_tokens=100))
    bench.submit("x" * 10_000)
    assert [row.length for row in bench.seal().rows] == [100]


def test_closing_gives_back_what_waits_and_lets_what_runs_finish() -> None:
    bench = Bench()
    running = bench.submit("running")
    batch = bench.seal()
    waits = bench.submit("waits")
    bench.scheduler.close(EngineStopped, "stopping", all_of_them=False)
    with pytest.raises(EngineStopped):
        waits.result(0)
    bench.echo(batch)
    assert running.result(0) == ["RUNNING"]
    with pytest.raises(EngineStopped):
        bench.submit("late")


def test_closing_for_good_resolves_what_runs_and_a_late_answer_is_ignored() -> None:
    bench = Bench()
    running = bench.submit("running")
    batch = bench.seal()
    bench.scheduler.close(EngineStopped, "stopping", all_of_them=True)
    bench.echo(batch)
    bench.scheduler.give_back([batch])
    with pytest.raises(EngineStopped):
        running.result(0)


def test_what_comes_back_to_a_closed_desk_is_resolved() -> None:
    bench = Bench()
    running = bench.submit("running")
    batch = bench.seal()
    bench.scheduler.close(EngineStopped, "stopping", all_of_them=False)
    bench.scheduler.give_back([batch])
    with pytest.raises(EngineStopped):
        running.result(0)


def test_options_that_shape_a_pass_keep_batches_apart_and_a_seed_keeps_alone() -> None:
    bench = Bench(spec(task="text-generation", batch_size=8))
    for options in ({"max_new_tokens": 5}, {"max_new_tokens": 9}, {"max_new_tokens": 5}, {"seed": 1}, {}):
        bench.submit("prompt", **options)
    sizes = []
    while batch := bench.ask():
        sizes.append(len(batch.rows))
    assert sizes == [2, 1, 1, 1]


def test_bytes_in_flight_are_bounded_and_room_wakes_who_waits() -> None:
    bench = Bench(max_bytes=100)
    bench.submit("x" * 90)
    entered = threading.Event()

    def second() -> None:
        entered.set()
        bench.submit("y" * 90)

    thread = threading.Thread(target=second)
    thread.start()
    entered.wait(5)
    assert bench.scheduler.sizes["bytes"] == 90
    bench.echo(bench.seal())
    thread.join(5)
    assert [row.value[0] for row in bench.seal().rows] == ["y"]


def test_no_room_before_the_deadline_is_expiry() -> None:
    bench = Bench(max_bytes=100)
    bench.submit("x" * 90)
    with pytest.raises(Expired):
        bench.submit("y" * 90, deadline=bench.now)


def test_a_hungry_device_is_woken_by_work_and_wakes_the_next() -> None:
    bench = Bench(spec(batch_size=1))
    first, second = threading.Event(), threading.Event()
    assert bench.ask(first) is None
    assert bench.ask(second) is None
    bench.submit("a", "b")
    assert (first.is_set(), second.is_set()) == (True, False)
    assert bench.ask(first) is not None
    assert second.is_set()


@pytest.mark.parametrize("seed", range(40))
def test_every_request_is_resolved_once_whatever_devices_do(seed: int) -> None:
    """Devices answer, die, fail and never begin, in any order; poison kills; some expire, some are cancelled."""
    policy = random.Random(seed)
    bench = Bench(spec(), spec("n", batch_size=2))
    futures: dict[Any, list[str]] = {}
    resolved: Counter[int] = Counter()
    at_devices: list[Batch] = []

    def submit() -> None:
        texts = [
            f"text {policy.random()}{' deadly' if policy.random() < 0.05 else ''}" for _ in range(policy.randint(1, 6))
        ]
        deadline = bench.now + 5 if policy.random() < 0.1 else None
        future = bench.submit(*texts, model=policy.choice("mn"), deadline=deadline)
        futures[future] = texts
        future.add_done_callback(lambda done: resolved.update([id(done)]))

    def step() -> None:
        batch = at_devices.pop(policy.randrange(len(at_devices)))
        chance = policy.random()
        if any("deadly" in row.value for row in batch.rows) or chance < 0.1:
            bench.scheduler.suspect([batch], "killed by SIGKILL")
        elif chance < 0.2:
            bench.scheduler.give_back([batch])
        elif chance < 0.25:
            bench.scheduler.release(batch, "the device failed")
        else:
            bench.echo(batch)

    for _ in range(60):
        bench.now += policy.random()
        submit()
        if policy.random() < 0.1:
            policy.choice(list(futures)).cancel()
        if (batch := bench.ask(full_only=policy.random() < 0.3)) is not None:
            at_devices.append(batch)
        if at_devices and policy.random() < 0.7:
            step()
        bench.scheduler.expire()
    while at_devices or bench.scheduler.sizes["requests"]:
        if (batch := bench.ask()) is not None:
            at_devices.append(batch)
        step()
    assert resolved == {id(future): 1 for future in futures}
    for future, texts in futures.items():
        if future.cancelled() or isinstance(future.exception(), Expired | DeviceLost):
            continue
        if isinstance(future.exception(), DeviceCrash):
            continue
        assert future.result() == [text.upper() for text in texts]
        assert not any("deadly" in text for text in texts)
    assert bench.scheduler.sizes == {"requests": 0, "waiting_rows": 0, "bytes": 0}
