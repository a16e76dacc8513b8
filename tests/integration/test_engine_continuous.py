"""Text generation that requests join while it runs: when they join and end, and what becomes of each when it fails."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from celery_inference.specs.errors import Cancelled, DeviceCrash, EngineStopped, Expired, InputFailed, InvalidInput
from celery_inference.specs.model_spec import Faults, ModelSpec
from models.engine import Engine
from tests.support import tiny_models
from tests.support.engines import SECONDS, pids, running, send, spec, wait_for
from tests.support.slow_generation import BROKEN, CRAMPED
from tests.support.tiny_models import TEXTS

PROGRAM = "tests.support.slow_generation"
TASK = "text-generation"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make(TASK, tmp_path_factory.mktemp("generator"))


@pytest.fixture(scope="module")
def writer(folder: Path) -> ModelSpec:
    """A tiny model whose requests join each other."""
    faults = Faults(kill="deadly", fail="poison")
    return spec(TASK, folder, name="writer", continuous="on", faults=faults)


@pytest.fixture(scope="module")
def padded(folder: Path) -> ModelSpec:
    """The same model, in padded batches."""
    return spec(TASK, folder, name="padded")


@pytest.fixture(scope="module")
def crowded(folder: Path) -> ModelSpec:
    """One that will have run out of memory, and so lets fewer join from then on."""
    return spec(TASK, folder, name="crowded", continuous="on")


@pytest.fixture(scope="module")
def narrow(folder: Path) -> ModelSpec:
    """One that has room for a single row."""
    return spec(TASK, folder, name="narrow", continuous="on", batch_size=1)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def engine(
    writer: ModelSpec, padded: ModelSpec, crowded: ModelSpec, narrow: ModelSpec, state: Path
) -> Iterator[Engine]:
    """One device. Tests leave it able to work, not always in the same process."""
    with running(writer, padded, crowded, narrow, program=PROGRAM, state=state) as engine:
        yield engine


def text_of(future: Future[list[Any]]) -> str:
    return str(future.result(SECONDS)[0][0]["generated_text"])


def ends_of(**futures: Future[list[Any]]) -> list[str]:
    """The names of the futures, in the order in which they come to an end from now on."""
    ends: list[str] = []
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: ends.append(name))  # type: ignore[misc]
    return ends


def long_one(engine: Engine, writer: ModelSpec) -> Future[list[Any]]:
    """A request that takes two seconds, at the device. Its text does not end by itself before."""
    future = send(engine, writer, TEXTS[1], max_new_tokens=200)
    wait_for(future.running, "a row at the device")
    return future


def test_requests_of_any_length_write_what_padded_batches_write(
    engine: Engine, writer: ModelSpec, padded: ModelSpec
) -> None:
    asked = [(text, 4 + number % 20) for number, text in enumerate(TEXTS[:40])]
    joined, waited = (
        [send(engine, one, text, max_new_tokens=most) for text, most in asked] for one in (writer, padded)
    )
    assert [text_of(future) for future in joined] == [text_of(future) for future in waited]
    assert engine.stats()["models"]["writer"]["rows"] >= 40


def test_a_short_request_joins_a_long_one_and_ends_before_it(engine: Engine, writer: ModelSpec) -> None:
    first = long_one(engine, writer)
    second = send(engine, writer, "the cat", max_new_tokens=3)
    ends = ends_of(first=first, second=second)
    assert text_of(second)
    assert text_of(first)
    assert ends == ["second", "first"]


def test_sampled_requests_join_each_other_with_options_of_their_own(engine: Engine, writer: ModelSpec) -> None:
    sampled = {"do_sample": True, "max_new_tokens": 12}
    futures = [send(engine, writer, "the cat", **sampled, temperature=0.5 + i / 8, top_k=1000) for i in range(8)]
    # The likeliest token alone is what a greedy request gets.
    surest = [send(engine, writer, text, **sampled, top_k=1) for text in TEXTS[:4]]
    assert len({text_of(future) for future in futures}) > 1
    greedy = [send(engine, writer, text, max_new_tokens=12) for text in TEXTS[:4]]
    assert [text_of(future) for future in surest] == [text_of(future) for future in greedy]


def test_what_cannot_join_has_its_turn_among_those_that_do(
    engine: Engine, writer: ModelSpec, padded: ModelSpec
) -> None:
    others: list[dict[str, Any]] = [{}, {"num_beams": 2}, {"repetition_penalty": 1.3}, {"do_sample": True, "seed": 7}]
    asked = [(text, {"max_new_tokens": 10, **others[i % 4]}) for i, text in enumerate(TEXTS[:16])]
    joined, waited = ([send(engine, one, text, **options) for text, options in asked] for one in (writer, padded))
    assert [text_of(future) for future in joined] == [text_of(future) for future in waited]


def test_an_older_request_of_another_model_is_not_kept_waiting_by_those_that_join(
    engine: Engine, writer: ModelSpec, padded: ModelSpec
) -> None:
    long_one(engine, writer)
    other = send(engine, padded, "the dog", max_new_tokens=3)
    later = {f"later {i}": send(engine, writer, text, max_new_tokens=100) for i, text in enumerate(TEXTS[:12])}
    ends = ends_of(other=other, **later)
    assert text_of(other)
    assert all(text_of(future) for future in later.values())
    assert ends[0] == "other"


def test_a_prompt_that_is_too_long_is_refused_alone(engine: Engine, writer: ModelSpec) -> None:
    fine, bad = send(engine, writer, "the cat", max_new_tokens=9), send(engine, writer, "cat " * 200)
    with pytest.raises(InvalidInput, match="has 202 tokens; at most 128 are allowed"):
        bad.result(SECONDS)
    assert text_of(fine)


def test_a_row_that_raises_ends_the_loop_and_fails_alone(engine: Engine, writer: ModelSpec, padded: ModelSpec) -> None:
    before = pids(engine)
    futures = {text: send(engine, writer, text, max_new_tokens=20) for text in [*TEXTS[:9], "a poison", *TEXTS[9:20]]}
    with pytest.raises(InputFailed, match="made the model raise, alone too"):
        futures.pop("a poison").result(SECONDS)
    expected = {text: send(engine, padded, text, max_new_tokens=20) for text in futures}
    assert {text: text_of(future) for text, future in futures.items()} == {
        text: text_of(future) for text, future in expected.items()
    }
    assert pids(engine) == before


def test_what_runs_out_of_memory_is_run_alone_and_remembered(
    engine: Engine, crowded: ModelSpec, narrow: ModelSpec, state: Path
) -> None:
    before = pids(engine)
    futures = [
        send(engine, crowded, text, max_new_tokens=CRAMPED if i == 3 else 20) for i, text in enumerate(TEXTS[:8])
    ]
    assert all(text_of(future) for future in futures)
    assert engine.stats()["models"]["crowded"]["out_of_memory"] == 1
    assert any(key.startswith("crowded on ") for key in json.loads((state / "memory-ceilings.json").read_text()))
    assert pids(engine) == before


def test_the_death_of_the_loop_by_nobodys_fault_is_the_devices(engine: Engine, writer: ModelSpec) -> None:
    before = pids(engine)
    futures = [send(engine, writer, text, max_new_tokens=BROKEN if i == 2 else 20) for i, text in enumerate(TEXTS[:8])]
    assert all(text_of(future) for future in futures)
    wait_for(lambda: pids(engine) not in ([], before), "another process")


def test_a_row_that_kills_its_process_fails_alone(engine: Engine, writer: ModelSpec) -> None:
    futures = {
        text: send(engine, writer, text, max_new_tokens=20) for text in [*TEXTS[:4], "a deadly text", *TEXTS[4:8]]
    }
    with pytest.raises(DeviceCrash, match="ended the device process 2 times when run alone: killed by SIGKILL"):
        futures.pop("a deadly text").result(SECONDS)
    assert all(text_of(future) for future in futures.values())


def test_deadlines_and_cancels_hold_for_what_waits_to_join(engine: Engine, narrow: ModelSpec) -> None:
    row = long_one(engine, narrow)
    late = engine.submit(narrow.name, ["the dog"], {"max_new_tokens": 3}, deadline=time.time() + 0.1)
    unwanted = engine.submit(narrow.name, ["the cow"], {"max_new_tokens": 3}, request_id="unwanted")
    assert engine.cancel("unwanted")
    with pytest.raises(Cancelled):
        unwanted.result(SECONDS)
    with pytest.raises(Expired):
        late.result(SECONDS)
    assert text_of(row)


def test_rows_that_are_prepared_and_finished_beside_the_loop_are_the_same(
    engine: Engine, writer: ModelSpec, padded: ModelSpec
) -> None:
    """As it is done on a GPU."""
    texts = [*TEXTS[:12], "a poison", *TEXTS[12:20]]
    expected = {text: send(engine, padded, text, max_new_tokens=15) for text in texts if "poison" not in text}
    with running(writer, padded, overlap=True) as overlapped:
        futures = {text: send(overlapped, writer, text, max_new_tokens=15) for text in texts}
        beams = [send(overlapped, writer, text, max_new_tokens=5, num_beams=2) for text in TEXTS[:3]]
        with pytest.raises(InputFailed):
            futures.pop("a poison").result(SECONDS)
        assert {text: text_of(future) for text, future in futures.items()} == {
            text: text_of(future) for text, future in expected.items()
        }
        assert all(text_of(future) for future in beams)


def test_stop_finishes_what_is_being_written_and_gives_back_what_waits(writer: ModelSpec) -> None:
    with running(writer, program=PROGRAM) as engine:
        futures = [send(engine, writer, text, max_new_tokens=100) for text in TEXTS]
        wait_for(lambda: any(future.done() for future in futures), "a first answer")
        engine.stop(30)
        outcomes = [future.exception(timeout=1) for future in futures]
    assert {type(outcome) for outcome in outcomes} == {type(None), EngineStopped}
