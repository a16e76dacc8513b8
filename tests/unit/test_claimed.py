"""A request waits for the inputs that it claims within bounds, and not when there is no sense in it any more."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Reject
from celery.worker import state
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from celery_inference.errors import RequestCancelled, RequestExpired
from celery_inference.inputs.check import check_inputs, check_request
from celery_inference.specs.errors import ClaimStoreAway, EngineStopped, InferenceError, InvalidInput, NotServedHere
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.claim_check.stores import claims_at
from celery_inference.sqs.consumer.deliveries import HELD, want_back
from celery_inference.sqs.messages.delivery import Delivery
from tasks.execution import claim_fetcher
from tasks.execution.claimed_inputs import ClaimedInputs
from tasks.execution.engine_client import EngineClient
from tests.support.engines import wait_for

PNG = b"\x89PNG\r\n\x1a\n and the rest"
IMAGE = ModelSpec(
    name="one", task="image-classification", source="/one", options=PIPELINE_TASKS["image-classification"].options
)
SECONDS = 30.0  # against hangs


class Rig:
    """A store in a folder, and deliveries that wait for what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.conf = SimpleNamespace(broker_transport_options={"claim_check": folder.as_uri()})
        self.check = claims_at(folder.as_uri())
        self.engine = EngineClient(object())  # type: ignore[arg-type]
        self.room = MemoryBudget(100)
        self.fetcher = claim_fetcher.ClaimFetcher()
        self.delivery = Delivery("work", "url", "m", "r", "", {}, {}, lease_ends=time.monotonic() + 3_600)
        HELD.add(self.delivery)

    def kept(self, data: bytes = PNG) -> dict[str, Any]:
        claim = self.check.put(data)
        return {"claim": {"key": claim.key, "size_bytes": claim.size_bytes, "sha256": claim.sha256}}

    def hanging(self) -> dict[str, Any]:
        """A claim on an object whose store does not answer."""
        kept = self.kept()
        file = self.folder / kept["claim"]["key"]
        file.unlink()
        os.mkfifo(file)
        return kept

    def answer(self) -> None:
        """Let what hangs go on, to nothing."""
        for file in self.folder.iterdir():
            if file.is_fifo():
                os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))

    @property
    def claimed(self) -> ClaimedInputs:
        return ClaimedInputs(self.engine, self.fetcher, self.room)

    def redeem(self, value: Any, *, deadline: float | None = None) -> list[Any]:
        rows, _ = check_request(IMAGE, value)
        request = SimpleNamespace(id="a-request", properties={"delivery_tag": self.delivery.tag}, expires=None)
        with self.claimed.redeemed(self.conf, request, IMAGE, rows, deadline=deadline):
            return rows.values


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "claims")
    yield rig
    rig.answer()
    HELD.remove(rig.delivery)
    state.revoked.clear()


def later(act: Any, *arguments: Any) -> None:
    timer = threading.Timer(0.1, act, arguments)
    timer.daemon = True
    timer.start()


def test_what_claims_nothing_asks_no_store(rig: Rig) -> None:
    rig.conf.broker_transport_options["claim_check"] = "s3://nowhere/at/all"
    assert rig.redeem([PNG, PNG]) == check_inputs(IMAGE, [PNG, PNG])[0]


def test_each_claim_is_fetched_once_and_stands_everywhere(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = claim_fetcher.fetch
    monkeypatch.setattr(claim_fetcher, "fetch", lambda conf, field, one: asked.append(field) or real(conf, field, one))
    kept = rig.kept()
    assert rig.redeem([kept, PNG, kept]) == check_inputs(IMAGE, [PNG] * 3)[0]
    assert asked == ["inputs[0]"]


def wanted_back(rig: Rig) -> None:
    want_back(rig.delivery)


def lost(rig: Rig) -> None:
    rig.delivery.lost = True


def revoked(_: Rig) -> None:
    state.revoked.add("a-request")


def stopped(rig: Rig) -> None:
    rig.engine.engine = None


@pytest.mark.parametrize(
    ("happens", "error"),
    [(wanted_back, EngineStopped), (stopped, EngineStopped), (lost, Reject), (revoked, RequestCancelled)],
)
@pytest.mark.parametrize("waits_for", ["the store", "room"])
def test_who_waits_notices_what_happens(rig: Rig, waits_for: str, happens: Any, error: type[Exception]) -> None:
    room = rig.room
    if waits_for == "room":
        room.take(100, given_up=lambda: False)
    value = rig.kept() if waits_for == "room" else [rig.kept(), rig.hanging()]
    later(happens, rig)
    with pytest.raises(error):
        rig.redeem(value)
    assert rig.engine.dropped().get("lease lost", 0) == (error is Reject)
    if waits_for == "the store":
        assert room.take(100, given_up=lambda: True), "nothing is held any more"


def test_a_deadline_passes_for_who_waits(rig: Rig) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    with pytest.raises(RequestExpired, match="before its inputs were there"):
        rig.redeem(rig.hanging(), deadline=soon.timestamp())


def test_a_store_that_hangs_is_given_up_and_others_go_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_fetcher, "REDEEM_SECONDS", 0.3)
    with pytest.raises(ClaimStoreAway, match=r"did not hand out its inputs in 0\.3 s"):
        rig.redeem([rig.kept(), rig.hanging()])
    monkeypatch.setattr(claim_fetcher, "REDEEM_SECONDS", 60.0)
    assert rig.redeem(rig.kept()) == check_inputs(IMAGE, PNG)[0]


def test_one_failing_claim_fails_the_request_and_holds_nothing(rig: Rig) -> None:
    gone = rig.kept()
    (rig.folder / gone["claim"]["key"]).unlink()
    with pytest.raises(InvalidInput, match=r"inputs\[1\] claims"):
        rig.redeem([rig.kept(), gone])
    assert rig.room.take(100, given_up=lambda: True)


def test_a_claim_that_fails_fails_its_inputs_alone_where_errors_are_asked_for(rig: Rig) -> None:
    gone, kept, other = rig.kept(), rig.kept(), rig.kept(b"no picture at all")
    (rig.folder / gone["claim"]["key"]).unlink()
    rows, _ = check_request(IMAGE, [kept, gone, "", PNG, gone, other], return_errors=True)
    request = SimpleNamespace(id="a-request", properties={}, expires=None)
    with rig.claimed.redeemed(rig.conf, request, IMAGE, rows, deadline=None):
        png = check_inputs(IMAGE, PNG)[0][0]
        assert rows.values == [png, None, None, png, None, None]
    sentences = {index: str(error) for index, error in sorted((rows.errors or {}).items())}
    assert list(sentences) == [1, 2, 4, 5]
    assert sentences[1].startswith("inputs[1] claims")
    assert sentences[4].startswith("inputs[4] claims")
    assert sentences[5] == "inputs[5] is none of PNG, JPEG and WebP"


def test_the_one_claim_of_a_list_is_named_as_one_of_several_is(rig: Rig) -> None:
    gone = rig.kept()
    (rig.folder / gone["claim"]["key"]).unlink()
    with pytest.raises(InvalidInput, match=r"^inputs\[0\] claims") as caught:
        rig.redeem([gone])
    assert (caught.value.field, caught.value.index) == ("inputs[0]", 0)


def test_without_a_store_the_remedy_is_named(rig: Rig) -> None:
    kept = rig.kept()
    rig.conf.broker_transport_options["claim_check"] = None
    with pytest.raises(NotServedHere, match="inputs has a claim, and there is no claim-check store here: set CELERY_"):
        rig.redeem(kept)


def test_a_folder_that_is_not_mounted_has_lost_nothing(rig: Rig) -> None:
    kept = rig.kept()
    rig.folder.rename(rig.folder.with_name("elsewhere"))
    with pytest.raises(ClaimStoreAway, match="the folder is not there"):
        rig.redeem(kept)
    rig.folder.with_name("elsewhere").rename(rig.folder)


def test_the_bytes_count_as_held_until_the_request_ends(rig: Rig) -> None:
    rows, _ = check_request(IMAGE, rig.kept())
    request = SimpleNamespace(id="a-request", properties={}, expires=None)
    with rig.claimed.redeemed(rig.conf, request, IMAGE, rows, deadline=None):
        assert not rig.room.take(100, given_up=lambda: True)
    assert rig.room.take(100, given_up=lambda: True)


def test_where_somebody_traces_the_wait_for_the_store_is_seen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.tracing import process as tracing_process

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing_process, "tracer", lambda: provider.get_tracer("any"))
    gone = rig.kept()
    (rig.folder / gone["claim"]["key"]).unlink()
    with provider.get_tracer("any").start_as_current_span("process") as process:
        rig.redeem(PNG)
        rig.redeem(rig.kept())
        with pytest.raises(InvalidInput):
            rig.redeem(gone)
    *steps, _ = exporter.get_finished_spans()
    assert [(span.name, dict(span.attributes or {})) for span in steps] == [
        ("redeem inputs", {}),
        ("redeem inputs", {"error.type": "InvalidInput"}),
    ]
    assert {span.parent and span.parent.span_id for span in steps} == {process.get_span_context().span_id}


def test_a_large_one_is_not_kept_out_by_small_ones() -> None:
    room = MemoryBudget(100)
    room.take(60, given_up=lambda: False)
    came: list[str] = []

    def come(name: str, size_bytes: int) -> threading.Thread:
        def wait() -> None:
            room.take(size_bytes, given_up=lambda: False, look_seconds=SECONDS)
            came.append(name)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread

    large = come("large", 90)
    wait_for(lambda: bool(room._line), "it stands in line")
    small = come("small", 10)
    small.join(0.05)
    assert came == []
    room.leave(60)
    large.join(SECONDS)
    small.join(SECONDS)
    assert sorted(came) == ["large", "small"]


def test_who_comes_new_does_not_wait_for_a_store_that_answers_nobody(rig: Rig) -> None:
    now = [1_000.0]
    rig.fetcher = fetches = claim_fetcher.ClaimFetcher(clock=lambda: now[0])
    hanging = rig.hanging()

    def wait() -> None:
        with suppress(InferenceError):  # it is given up, or told something, whichever comes first
            rig.redeem(hanging)

    patient = threading.Thread(target=wait, daemon=True)
    patient.start()
    wait_for(lambda: bool(fetches._running), "it hangs")
    now[0] += claim_fetcher.SILENT_SECONDS - 1
    assert rig.redeem(rig.kept()), "one that takes long is no silence"
    gone = rig.kept()
    (rig.folder / gone["claim"]["key"]).unlink()
    now[0] += claim_fetcher.SILENT_SECONDS - 1
    with pytest.raises(InvalidInput):
        rig.redeem(gone)
    now[0] += claim_fetcher.SILENT_SECONDS - 1
    assert rig.redeem(rig.kept()), "it has said that one was gone"
    now[0] += claim_fetcher.SILENT_SECONDS + 1
    with pytest.raises(ClaimStoreAway, match="has answered nobody for 10 s"):
        rig.redeem(rig.kept())
    assert rig.redeem(PNG), "who claims nothing does not ask"
    rig.answer()
    wait_for(lambda: not fetches._running, "it is told something")
    assert rig.redeem(rig.kept())
    patient.join(SECONDS)
