"""The claim check: requests that fit into no message, in a folder and in a bucket of S3 (moto)."""

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from celery_inference.sqs.claim_check import claim_check, stores
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.errors import ClaimStoreError, MessageTooLargeError, OptionError
from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.kept import Kept, bucket, folder_in
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in

LARGE = "größe 😀 " * 40_000  # 520,000 bytes, where the queue takes 262,144


@pytest.fixture(params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "folder":
        yield folder_in(tmp_path)
        return
    with bucket() as kept:
        yield kept


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def url_of(rig: Rig, *, dead: bool = False) -> str:
    name = rig.lane.dead_letter_queue.name if dead else rig.lane.name
    return rig.client.get_queue_url(QueueName=name)["QueueUrl"]


def bodies(rig: Rig, *, dead: bool = False) -> list[str]:
    answer = rig.client.receive_message(QueueUrl=url_of(rig, dead=dead), MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in answer.get("Messages", [])]


def take(app: Any) -> Any:
    """The next message, as a consumer of the queue gets it, and the channel that it must be settled on."""
    connection = app.connection_for_read()
    channel = connection.channel()
    return channel.basic_get("work"), channel


def why(rig: Rig) -> list[str]:
    rig.until(lambda: rig.depth(dead=True).total)
    return [str(letter.reason and letter.reason.message) for letter in peek(rig.client, rig.lane)]


def test_what_fits_into_no_message_travels_by_claim_and_goes_when_its_work_is_done(rig: Rig, kept: Kept) -> None:
    with rig.app(claim_check=kept.url) as app:
        program.note.delay("small")
        assert kept.keys() == []
        take(app)[0].ack()
        program.note.delay(LARGE)
        assert len(kept.keys()) == 1
        (body,) = bodies(rig)
        assert len(body) < 3_000
        message, channel = take(app)
        assert message.payload[0] == [LARGE]
        assert len(kept.keys()) == 1
        message.ack()
        rig.until(lambda: not kept.keys())
        channel.close()
        rig.until(rig.empty)  # the small one was settled on a channel of its own


def test_a_worker_runs_it_and_leaves_nothing(rig: Rig, kept: Kept) -> None:
    rig.worker(claim_check=kept.url)
    with rig.app(claim_check=kept.url):
        program.note.delay(LARGE)
    rig.until(rig.notes)
    assert rig.notes()[0].startswith(f"{LARGE} 1 ")
    rig.until(rig.empty)
    rig.until(lambda: not kept.keys())


def test_a_dead_letter_keeps_its_payload_and_is_whole_when_it_is_sent_back(rig: Rig, kept: Kept) -> None:
    with rig.app(claim_check=kept.url) as app:
        program.note.delay(LARGE)
        (body,) = bodies(rig)
        message, channel = take(app)
        message.reject()
        rig.until(lambda: rig.depth(dead=True).total)
        channel.close()
        assert bodies(rig, dead=True) == [body]
        assert len(kept.keys()) == 1
        rig.client.send_message(QueueUrl=url_of(rig), MessageBody=body)
        message, channel = take(app)
        assert message.payload[0] == [LARGE]
        message.ack()
        rig.until(lambda: not kept.keys())
        channel.close()


def test_a_payload_that_is_gone_or_is_another_makes_a_dead_letter(rig: Rig, kept: Kept) -> None:
    with rig.app(claim_check=kept.url) as app:
        for _ in range(3):
            program.note.delay(LARGE)
        size = json.loads(bodies(rig)[0])["properties"]["claim"]["size_bytes"]
        gone, changed, longer = kept.keys()
        kept.forget(gone)
        kept.overwrite(changed, b"x" * size)
        kept.overwrite(longer, b"x" * (size + 1))
        channels = [take(app) for _ in range(3)]
        assert [message for message, _ in channels] == [None] * 3
        rig.until(lambda: rig.depth(dead=True).total == 3)
        for _, channel in channels:
            channel.close()
    reasons = sorted(reason.replace(reason.split()[3], "KEY") for reason in why(rig))
    assert reasons == [
        "the claimed payload KEY is not in the store any more",
        "the claimed payload KEY is not the one that was checked in",
        "the claimed payload KEY is not the one that was checked in",
    ]


@pytest.mark.parametrize(
    "claim",
    [
        {"key": "../secret", "size_bytes": 6, "sha256": "0" * 64},
        {"key": "/etc/passwd", "size_bytes": 6, "sha256": "0" * 64},
        {"key": "0" * 32, "size_bytes": 10**12, "sha256": "0" * 64},
        {"key": "0" * 32, "size_bytes": True, "sha256": "0" * 64},
        {"key": "0" * 32, "size_bytes": -1, "sha256": "0" * 64},
        {"key": "0" * 32, "size_bytes": 6, "sha256": ["0"]},
        {"url": "http://127.0.0.1:9/secret"},
        "s3://another-bucket/secret",
        [],
    ],
)
def test_a_claim_that_points_elsewhere_is_followed_nowhere(
    rig: Rig, tmp_path: Path, claim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "claims"
    with rig.app(claim_check=store.as_uri()) as app:
        program.note.delay(LARGE)
        (body,) = bodies(rig)
        rig.client.purge_queue(QueueUrl=url_of(rig))
        (tmp_path / "secret").write_text("secret")
        opened: list[Any] = []
        real = os.open
        monkeypatch.setattr(os, "open", lambda path, *more, **how: opened.append(path) or real(path, *more, **how))
        forged = json.loads(body)
        forged["properties"]["claim"] = claim
        rig.client.send_message(QueueUrl=url_of(rig), MessageBody=json.dumps(forged))
        message, channel = take(app)
        assert message is None
        assert len(why(rig)) == 1
        channel.close()
    assert [path for path in opened if str(path).startswith(str(tmp_path))] == []


def test_a_payload_and_its_name_are_on_the_disk_before_it_counts_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, bool]] = []
    sync = os.fsync

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append((kind, (tmp_path / ("0" * 32)).exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    stores.FolderStore(tmp_path).put("0" * 32, b"good")
    assert steps == [("file", False), ("folder", True)], "each, and whether the payload had its name by then"


def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    store = stores.FolderStore(tmp_path / "claims")
    store.put("0" * 32, b"good")
    (tmp_path / "claims" / ("1" * 32)).symlink_to(tmp_path / "secret")
    with pytest.raises(ClaimStoreError):
        store.get("1" * 32, 6)


def test_without_the_store_a_message_is_left_to_others_and_a_sender_told(
    rig: Rig, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig.app(claim_check=kept.url):
        program.note.delay(LARGE)
    with rig.app() as app:
        with pytest.raises(MessageTooLargeError):
            program.note.delay(LARGE)
        message, channel = take(app)
        assert message is None
        channel.close()
    (tmp_path / "file").write_text("no folder")
    with (
        rig.app(claim_check=(tmp_path / "file" / "claims").as_uri()),
        pytest.raises(OperationalError, match="claim-check store"),
    ):
        program.note.delay(LARGE)
    assert rig.depth().total == 1
    assert rig.depth(dead=True).total == 0


def test_a_payload_larger_than_any_worker_takes_is_refused_when_it_is_sent(
    rig: Rig, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_check, "MAX_PAYLOAD_BYTES", 300_000)
    with rig.app(claim_check=kept.url), pytest.raises(MessageTooLargeError, match="the limit is 300,000"):
        program.note.delay(LARGE)
    assert kept.keys() == []


def test_a_folder_forgets_what_nobody_can_ask_for_any_more(tmp_path: Path) -> None:
    store = stores.FolderStore(tmp_path)
    for key in ("0" * 32, "1" * 32):
        (tmp_path / key).write_bytes(b"x")
    old = time.time() - stores.KEEP_SECONDS - 60
    os.utime(tmp_path / ("0" * 32), (old, old))
    store.put("2" * 32, b"x")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1" * 32, "2" * 32]


@pytest.mark.parametrize("url", ["file:relative", "file://host/folder", "file:///", "s3://", "http://host/x", "x", ""])
def test_a_store_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="is neither file:///FOLDER nor s3://BUCKET/PREFIX"):
        stores.store_at(url)


def test_payloads_wait_for_room_and_a_large_one_comes_in_alone() -> None:
    room = MemoryBudget(100)
    assert room.take(1_000, given_up=lambda: False)
    assert not room.take(1, given_up=lambda: True, look_seconds=0.0)
    room.leave(1_000)
    assert room.take(60, given_up=lambda: False)
    assert room.take(40, given_up=lambda: False)
    assert not room.take(1, given_up=lambda: True, look_seconds=0.0)
