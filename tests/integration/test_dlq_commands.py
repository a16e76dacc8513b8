"""`celery-inference dlq …` against the embedded server: what people on call type."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from celery_inference.commands.dlq.group import dlq
from celery_inference.commands.lanes import lanes
from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.index import LanePause, Selection
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Cause
from celery_inference.sqs_local.child_process import LocalServer
from tests.support.letters import DeadLetterRig, body_of, dead_letter_rig, reason

ALL = Selection()
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "END_WAIT_SECONDS", 0)  # one server has no others to ask


@pytest.fixture
def rig(server: LocalServer, tmp_path: Path) -> DeadLetterRig:
    return dead_letter_rig(server.endpoint_url, tmp_path)


@pytest.fixture
def command(rig: DeadLetterRig, server: LocalServer) -> Command:
    elsewhere = rig.queue.lanes[1]
    app = Celery("people", set_as_current=False)
    app.conf.update(
        broker_url=f"sqs://k:s@127.0.0.1:{server.port}//",
        broker_transport="celery_inference.sqs.transport.connection:Transport",
        broker_transport_options={"lanes": (rig.lane, elsewhere), "create_missing_lanes": True},
        result_backend_thread_safe=True,
    )
    app._backend_cache = rig.backend
    rig.clients.client.create_queue(QueueName=elsewhere.name)
    rig.clients.client.create_queue(QueueName=elsewhere.dead_letter_queue.name)

    def run(*arguments: Any, **options: Any) -> Result:
        return CliRunner().invoke(dlq, [str(each) for each in arguments], obj=SimpleNamespace(app=app), **options)

    run.app = app  # type: ignore[attr-defined]
    return run


def read(result: Result, status: int = 0) -> Any:
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def one_sentence(result: Result, text: str, status: int = 1) -> None:
    assert result.exit_code == status, result.output
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_list_shows_groups_with_counts_ages_and_causes(rig: DeadLetterRig, command: Command) -> None:
    for number in range(4):
        rig.send(body_of(f"r{number}"), reason(failed_at=time.time() - 7_300))
    rig.send(body_of("k"), reason("no such key", error_type="KeyError", cause=Cause.CRASH))
    list(rig.queue.letters(ALL))
    said = command("list").stdout
    lines = said.splitlines()
    assert "attempts-used-up" in lines[1]
    assert " 4 " in lines[1]
    assert "2 h" in lines[1]
    assert "14 d" in lines[1]
    assert "no such key" in said
    assert "private words" not in said
    found = read(command("list", "--json"))
    assert {group["error_type"]: group["count"] for group in found["groups"]} == {"ValueError": 4, "KeyError": 1}
    assert found["lanes"][0] == {"lane": rig.lane.name, "in_queue": 5, "in_index": 5}


def test_list_pages_through_letters(rig: DeadLetterRig, command: Command) -> None:
    now = time.time()
    for number in range(5):
        rig.send(body_of(f"r{number}"), reason(failed_at=now - number))
    list(rig.queue.letters(ALL))
    first = read(command("list", "--letters", "--limit", 3, "--json"))
    second = read(command("list", "--letters", "--limit", 3, "--after", first["after"], "--json"))
    tasks = [entry["task_id"] for entry in first["letters"] + second["letters"]]
    assert tasks == [f"r{number}" for number in range(5)]
    assert second["after"] is None
    assert "r4" in command("list", "--letters").stdout
    one_sentence(command("list", "--letters", "--after", "x"), "is not what a page ended with", 2)


def test_list_says_when_the_index_lacks_letters_and_sweep_takes_them_up(rig: DeadLetterRig, command: Command) -> None:
    rig.send(body_of("one"), reason())
    assert "1 more in the queue; `celery-inference dlq reconcile`" in command("list").stderr
    assert read(command("reconcile", "--json"))[rig.lane.name] == {"taken_up": 1, "brought_back": 0, "deleted": 0}
    assert read(command("list", "--json"))["groups"][0]["count"] == 1
    assert command("reconcile").exit_code == 0


def test_list_shows_the_groups_that_were_asked_for(rig: DeadLetterRig, command: Command) -> None:
    rig.send(body_of("one"), reason())
    rig.send(body_of("two"), reason(error_type="KeyError", cause=Cause.CRASH))
    list(rig.queue.letters(ALL))
    found = read(command("list", "--json", "--cause", "crash"))
    assert [group["error_type"] for group in found["groups"]] == ["KeyError"]
    assert "ValueError" not in command("list", "--error", "KeyError").stdout
    assert command("list", "--model", "no-such-model").stdout == "no dead letters\n"
    one_sentence(command("list", "--task", "celery_inference.infer"), "add --letters", 2)


def test_show_tells_why_with_its_traceback_and_keeps_inputs_to_itself(rig: DeadLetterRig, command: Command) -> None:
    try:
        raise ValueError("it is broken")
    except ValueError as error:
        rig.backend.store_result("one", error, "FAILURE", traceback="Traceback: the line that broke")
    rig.send(body_of("one", argsrepr="('private words',)"), reason(attempts=4, worker="w1@host"), tenant="shop")
    shown = command("show", "one")
    assert shown.exit_code == 0, shown.output
    for text in (
        "the line that broke",
        "attempts-used-up",
        "w1@host",
        "tenant",
        "shop",
        "celery_inference.feature_extraction",
    ):
        assert text in shown.stdout
    assert "private words" not in shown.stdout
    command.app.conf["inference_keep_inputs"] = 1_000  # type: ignore[attr-defined]
    facts = read(command("show", "one", "--json"))
    assert "private words of one" in facts["inputs"]
    assert facts["in_queue"]
    assert rig.queue.count().visible == 1


def test_show_still_tells_of_what_was_redriven(rig: DeadLetterRig, command: Command) -> None:
    rig.backend.store_result("one", ValueError("broken"), "FAILURE", traceback="the old traceback")
    rig.send(body_of("one"), reason())
    rig.queue.redrive(ALL)
    facts = read(command("show", "one", "--json"))
    assert (facts["state"], facts["in_queue"], facts["traceback"]) == ("redriven", False, "the old traceback")


@pytest.mark.parametrize("name", ["show", "replay", "redrive", "drop"])
def test_an_id_that_does_not_exist_is_one_sentence(rig: DeadLetterRig, command: Command, name: str) -> None:
    rig.send("noise")
    arguments = [name, "no-such-id", *(["--yes"] if name == "drop" else [])]
    one_sentence(command(*arguments), "no dead letter")
    assert rig.queue.count().visible == 1


def test_redrive_by_id_by_group_and_all(rig: DeadLetterRig, command: Command) -> None:
    for number in range(9):
        rig.send(body_of(f"r{number}"), reason(error_type="KeyError" if number < 3 else "ValueError"))
    list(rig.queue.letters(ALL))
    assert read(command("redrive", "r8", "--json")) == {"sent": 1, "skipped": {}}
    dry = read(command("redrive", "--error", "KeyError", "--dry-run", "--json"))
    assert dry["would_send"][rig.lane.name] == 3
    assert "3 letters would be sent" in command("redrive", "--error", "KeyError", "--dry-run").stdout
    assert rig.queue.count().visible == 8
    assert "3 letters sent" in command("redrive", "--error", "KeyError").stdout
    started = time.monotonic()
    assert read(command("redrive", "--all", "--rate", 10, "--json"))["sent"] == 5
    assert time.monotonic() - started >= 0.4
    assert (rig.dead(), len(rig.take())) == (0, 9)
    rig.send(body_of("known"), reason())
    mixed = command("redrive", "known", "unknown")
    assert "1 letter sent" in mixed.stdout
    one_sentence(mixed, "no dead letter has the id 'unknown'")
    one_sentence(command("redrive"), "say which letters", 2)
    one_sentence(command("redrive", "--all", "r1"), "say which letters", 2)
    one_sentence(command("redrive", "--all", "--to-lane", "nowhere"), "no lane 'nowhere' is declared", 2)
    one_sentence(command("redrive", "--all", "--lane", "nowhere"), "no lane 'nowhere' is declared", 2)
    one_sentence(command("redrive", "--all", "--cause", "nonsense"), "invalid-input", 2)


def test_redrive_says_what_could_not_go(rig: DeadLetterRig, command: Command) -> None:
    rig.send("x" * 400_000, reason())
    rig.send(body_of("one"), reason())
    result = command("redrive", "--all", "--to-task", "celery_inference.infer", "--to-lane", "elsewhere")
    one_sentence(result, "cannot be read, and so cannot be given another task")
    assert "1 letter sent" in result.stdout


def test_redrive_names_the_task_that_was_meant(rig: DeadLetterRig, command: Command) -> None:
    app: Celery = command.app  # type: ignore[attr-defined]

    @app.task(name="ours.known")
    def known() -> None:
        """Nobody runs it."""

    rig.send(body_of("one"), reason())
    said = command("redrive", "--all", "--to-task", "ours.knwon", "--dry-run").stderr
    assert said == "warning: no task 'ours.knwon' is known here. Did you mean ours.known?\n"
    assert "warning" not in command("redrive", "--all", "--to-task", "ours.known").stderr


def test_drop_asks_first(rig: DeadLetterRig, command: Command) -> None:
    rig.send(body_of("one"), reason())
    rig.send(body_of("two"), reason())
    list(rig.queue.letters(ALL))
    assert command("drop", "--all", input="n\n").exit_code == 1
    assert rig.queue.count().visible == 2
    assert read(command("drop", "one", "--yes", "--json")) == {"dropped": 1, "skipped": {}}
    assert command("drop", "--all", input="y\n").exit_code == 0
    assert rig.dead() == 0


def test_what_the_index_lacks_is_named_before_it_goes(rig: DeadLetterRig, command: Command) -> None:
    """Letters that SQS itself moved: nothing has looked at them yet."""
    for number in range(3):
        rig.send(body_of(f"r{number}"))
    dry = command("redrive", "--all", "--dry-run")
    assert f"{rig.lane.name}: 0 letters would be sent, and what fits of 3 more" in dry.stdout
    assert read(command("redrive", "--all", "--dry-run", "--json"))["not_indexed"][rig.lane.name] == 3
    asked = command("drop", "--all", input="n\n")
    assert "Delete 0 letters, and what fits of 3 more that no reconciling has taken up yet, for good?" in asked.stderr
    assert rig.queue.count().visible == 3
    command("reconcile")
    left = rig.queue.index.count(ALL)
    assert f"Delete {left} letters for good?" in command("drop", "--all", input="n\n").stderr


def test_a_dry_run_of_named_letters_speaks_of_no_others(rig: DeadLetterRig, command: Command) -> None:
    rig.send(body_of("known"), reason())
    list(rig.queue.letters(ALL))
    rig.send(body_of("other"))
    assert f"{rig.lane.name}: 1 letter would be sent\n" in command("redrive", "known", "--dry-run").stdout
    assert "what fits of 1 more" in command("redrive", "known", "none", "--dry-run").stdout


def test_export_and_import_round_trip_byte_for_byte(rig: DeadLetterRig, command: Command, tmp_path: Path) -> None:
    bodies = [body_of("one"), "noise \u00e9\u4e2d\U0001f600\n\t{", "\u00e9" * 500_000, body_of("lost")]
    rig.send(bodies[0], reason("why"), tenant="shop")
    rig.clients.client.send_message(
        QueueUrl=rig.clients.queue_url(rig.lane.dead_letter_queue.name),
        MessageBody=bodies[1],
        MessageAttributes={"raw": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"}},
    )
    rig.send(bodies[2])
    rig.send(bodies[3])
    file = tmp_path / "letters.jsonl"
    assert read(command("export", file, "--json"))["exported"] == 4
    assert rig.queue.count().visible == 4
    one_sentence(command("export", file), "exists already")
    before = {letter.body: letter.attributes for _, letter in rig.queue.letters(ALL)}
    command("drop", "--all", "--yes")
    assert rig.dead() == 0
    assert read(command("import", file, "--json")) == {"imported": 4, "there_already": 0}
    after = {letter.body: letter.attributes for _, letter in rig.queue.letters(ALL)}
    assert before == after
    assert set(after) == set(bodies)
    assert rig.index.find("one")[0].error == "why"
    assert read(command("import", file, "--json")) == {"imported": 0, "there_already": 4}
    assert rig.dead() == 4


def test_import_goes_to_another_lane_or_any_queue(rig: DeadLetterRig, command: Command, tmp_path: Path) -> None:
    for number in range(12):
        rig.send(body_of(f"r{number}"), reason(), tenant="shop")
    file = tmp_path / "letters.jsonl"
    command("export", file)
    assert "12 letters imported" in command("import", file, "--lane", "elsewhere").stdout
    assert len(rig.take("elsewhere-dlq")) == 12
    assert read(command("import", file, "--queue", rig.lane.name, "--json"))["imported"] == 12
    sent = rig.take()
    assert {message["Body"] for message in sent} == {body_of(f"r{number}") for number in range(12)}
    assert all(REASON_ATTRIBUTE in message["MessageAttributes"] for message in sent)
    one_sentence(command("import", file, "--queue", "nowhere"), "does not exist")
    one_sentence(command("import", file, "--lane", "x", "--queue", "y"), "exclude each other", 2)


def test_an_interrupted_export_and_import_go_on_where_they_stopped(
    rig: DeadLetterRig, command: Command, tmp_path: Path
) -> None:
    for number in range(25):
        rig.send(body_of(f"r{number}"), reason())
    file = tmp_path / "letters.jsonl"
    command("export", file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.unlink()
    file.with_name("letters.jsonl.part").write_bytes(b"".join(lines[:7]) + lines[7][:100])
    assert read(command("export", file, "--json"))["exported"] == 25
    assert len({json.loads(line)["entry"]["id"] for line in file.read_bytes().splitlines()}) == 25
    place = sum(len(line) for line in file.read_bytes().splitlines(keepends=True)[:20])
    journal = {"target": f"queue {rig.lane.name}", "size": file.stat().st_size, "done": place}
    file.with_name("letters.jsonl.imported").write_text(json.dumps(journal))
    assert read(command("import", file, "--queue", rig.lane.name, "--json"))["imported"] == 5
    assert not file.with_name("letters.jsonl.imported").exists()


@pytest.mark.parametrize("line", [b"noise\n", b"{}\n", b'{"format": 9}\n', b"[]\n", b"\xff\xfe\n"])
def test_a_file_of_something_else_is_one_sentence(command: Command, tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "other"
    file.write_bytes(line)
    one_sentence(command("import", file), "is no dead letter")
    one_sentence(command("import", tmp_path / "missing"), "missing")


def test_replay_runs_a_task_here_and_touches_nothing(rig: DeadLetterRig, command: Command) -> None:
    app: Celery = command.app  # type: ignore[attr-defined]

    @app.task(name="add", shared=False)
    def add(left: int, right: int) -> int:
        return left + right

    body = json.loads(body_of("sum", task="add"))
    for task_id, arguments in (("sum", [2, 3]), ("broken", [2, "x"])):
        body["headers"]["id"], body["body"] = task_id, json.dumps([arguments, {}, {}])
        rig.send(json.dumps(body), reason())
    rig.send(body_of("stranger", task="who.knows"), reason())
    noise = rig.send("noise")
    assert read(command("replay", "sum", "--json"))["result"] == 5
    assert command("replay", "sum").stdout == "5\n"
    failed = read(command("replay", "broken", "--json"), 1)
    assert (failed["ok"], failed["error_type"]) == (False, "TypeError")
    one_sentence(command("replay", "stranger"), "no task 'who.knows' is known here")
    one_sentence(command("replay", noise), "it cannot be read")
    assert rig.queue.count().visible == 4
    assert rig.backend.get_state("sum") == "PENDING"


def test_a_server_or_store_that_is_away_is_one_sentence(rig: DeadLetterRig, command: Command) -> None:
    app: Celery = command.app  # type: ignore[attr-defined]
    rig.backend.database.path = Path("/dev/null/no/such.sqlite")
    one_sentence(command("list"), "no/such.sqlite")
    other = Celery("elsewhere", set_as_current=False)
    other.conf.result_backend = "cache+memory://"
    app._backend_cache = other.backend
    one_sentence(command("list"), "keeps no index of dead letters")


def test_lanes_tells_what_is_stopped_and_resumes_it(rig: DeadLetterRig, command: Command) -> None:
    app = command.app  # type: ignore[attr-defined]

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(lanes, arguments, obj=SimpleNamespace(app=app))

    rig.send(body_of("one"))
    assert "consumed" in run("list").stdout
    rig.index.pause(LanePause(rig.lane.name, time.time() - 3_700, "w1@host", "61 of the last 100 requests failed"))
    said = run("list")
    assert said.exit_code == 1
    assert "PAUSED 1 h ago by w1@host: 61 of the last 100 requests failed" in said.stdout
    assert "SQS drops them from" in said.stdout
    row = read(run("list", "--json"), 1)[0]
    assert (row["dead_letters"], row["stopped"]["by"]) == (1, "w1@host")
    one_sentence(run("resume", "nowhere"), "no lane 'nowhere' is declared", 2)
    assert "take it up again" in run("resume", rig.lane.name).stdout
    assert read(run("resume", rig.lane.name, "--json")) == {"lane": rig.lane.name, "resumed": False}
    assert run("list").exit_code == 0
    rig.clients.client.delete_queue(QueueUrl=rig.clients.queue_url(rig.lane.name))
    said = run("list")
    assert said.exit_code == 1
    assert f"queue {rig.lane.name} is MISSING" in said.stdout
    assert read(run("list", "--json"), 1)[0]["missing"] == rig.lane.name
