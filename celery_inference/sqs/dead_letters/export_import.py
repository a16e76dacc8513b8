"""Dead letters in a file: a JSON object a line, from which each message is made again byte for byte."""

import base64
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from celery_inference.sqs import limits
from celery_inference.sqs.dead_letters.entry import Entry
from celery_inference.sqs.dead_letters.letter import DeadLetter, dead_letter_sent
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import UnknownLaneError
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Reason
from celery_inference.sqs.messages.size import message_bytes
from celery_inference.sqs.producer.bulk_send import send_many
from celery_inference.sqs.producer.sender import Sender

FORMAT = 1
LONGEST_LINE_BYTES = 16 * 1_048_576  # a whole message, each character escaped, and its entry


class DeadLetterFileError(SqsError, ValueError):
    """A file, or one line of it, that is none of ours."""


def line_of(entry: Entry, letter: DeadLetter) -> str:
    """A letter as one line, without its end."""
    attributes = dict(letter.attributes)
    if letter.raw is not None:
        attributes[REASON_ATTRIBUTE] = letter.raw
    return json.dumps(
        {
            "format": FORMAT,
            "entry": dataclasses.asdict(entry),
            "body": letter.body,
            "attributes": {name: _text(value) for name, value in attributes.items()},
            "group": (letter.reason.group if letter.reason else None) or letter.group,
        }
    )


def _text(attribute: Mapping[str, Any]) -> dict[str, Any]:
    value = {name: each for name, each in attribute.items() if name in ("DataType", "StringValue")}
    if "BinaryValue" in attribute:
        value["BinaryValue"] = base64.b64encode(attribute["BinaryValue"]).decode("ascii")
    return value


def _attribute(text: Mapping[str, Any]) -> dict[str, Any]:
    value = dict(text)
    for name, each in value.items():
        if name not in ("DataType", "StringValue", "BinaryValue") or not isinstance(each, str):
            raise TypeError(f"an attribute has {name} = {each!r}")
    if "BinaryValue" in value:
        value["BinaryValue"] = base64.b64decode(value["BinaryValue"], validate=True)
    return value


def _entry(given: Any) -> dict[str, Any]:
    """What an import reads of an entry is what `line_of` writes."""
    entry = dict(given)
    for name in ("id", "lane"):
        if not isinstance(entry[name], str):
            raise TypeError(f"its entry has {name} = {entry[name]!r}")
    return entry


class Exporter:
    """Writes FILE.part, which an interrupted export leaves and the next one goes on with; FILE when it is whole.

    One thread's; raises OSError.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.part = file.with_name(f"{file.name}.part")
        self._written: set[str] = set()

    def __enter__(self) -> Self:
        end = 0
        if self.part.exists():
            with self.part.open("rb") as lines:
                for line in lines:
                    id_ = _id_in(line)
                    if id_ is None:
                        break  # a kill cut it off
                    self._written.add(id_)
                    end += len(line)
        # Letters are personal data.
        self._output = open(os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        self._output.truncate(end)
        self._output.seek(end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.close()

    @property
    def count(self) -> int:
        """Letters in the file."""
        return len(self._written)

    def write(self, entry: Entry, letter: DeadLetter) -> None:
        """Add a letter, unless it is there already."""
        name = f"{entry.lane} {entry.id}"
        if name not in self._written:
            self._output.write(line_of(entry, letter).encode() + b"\n")
            self._written.add(name)

    def finish(self) -> None:
        """The file is whole: give it its name."""
        self._output.flush()
        os.fsync(self._output.fileno())
        os.replace(self.part, self._file)


def _id_in(line: bytes) -> str | None:
    try:
        entry = json.loads(line)["entry"]
        return f"{entry['lane']} {entry['id']}" if line.endswith(b"\n") else None
    except (ValueError, LookupError, TypeError):
        return None


class Importer:
    """Sends the letters of a file, ten a call, and notes after each call in FILE.imported how far it is.

    One thread's. A kill between the two sends ten letters again, which are then the same letters.
    """

    def __init__(
        self, file: Path, queues: Mapping[str, DeadLetterQueue], *, lane: str | None = None, queue: str | None = None
    ) -> None:
        self._file = file
        self._queues = queues
        self._lane = lane
        self._queue = queue
        self._journal = file.with_name(f"{file.name}.imported")
        self.size = file.stat().st_size
        self.sent = 0
        self.passed_over = 0

    def steps(self) -> Iterator[int]:
        """Send it all; yields how many bytes of the file are done. The journal goes when all is.

        Raises DeadLetterFileError for a line that is none, before anything of its ten is sent.
        """
        target = f"queue {self._queue}" if self._queue else f"lane {self._lane}"
        done = self._read_journal(target)
        with self._file.open("rb") as lines:
            lines.seek(done)
            while batch := self._batch(lines):
                self._send(batch)
                done = lines.tell()
                self._write_journal(target, done)
                yield done
        self._journal.unlink(missing_ok=True)

    def _batch(self, lines: Any) -> list[dict[str, Any]]:
        batch: list[dict[str, Any]] = []
        while len(batch) < limits.MAX_BATCH_ENTRIES and (line := lines.readline(LONGEST_LINE_BYTES)):
            place = lines.tell() - len(line)
            try:
                values = json.loads(line)
                if values["format"] != FORMAT:
                    raise ValueError(f"format {values['format']!r}")
                values["attributes"] = {name: _attribute(each) for name, each in values["attributes"].items()}
                values["entry"] = _entry(values["entry"])
                if not isinstance(values["body"], str) or not isinstance(values.get("group"), str | None):
                    raise TypeError("its body or group is no text")
                message_bytes(values["body"], values["attributes"])  # which half a character cannot be
                batch.append(values)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise DeadLetterFileError(
                    f"{self._file}: the line at byte {place} is no dead letter ({error})"
                ) from error
        return batch

    def _send(self, batch: list[dict[str, Any]]) -> None:
        if self._queue is not None:
            queue = next(iter(self._queues.values()))
            self._send_all(Sender(queue.clients, self._queue, queue.clients.queue_url(self._queue), None), batch)
            return
        by_lane: dict[str, list[dict[str, Any]]] = {}
        for values in batch:
            by_lane.setdefault(self._lane or values["entry"]["lane"], []).append(values)
        for name, letters in by_lane.items():
            queue = self._queues.get(name)  # type: ignore[assignment]
            if queue is None:
                raise UnknownLaneError(name, tuple(each.lane for each in self._queues.values()))
            self._send_to_lane(queue, letters)

    def _send_to_lane(self, queue: DeadLetterQueue, letters: list[dict[str, Any]]) -> None:
        dead = queue.lane.dead_letter_queue
        for values in letters:
            _keep_reason(values, dead.max_message_bytes)
        entries = [Entry.of(dead_letter_sent(values["body"], values["attributes"]), queue.lane) for values in letters]
        known = queue.index.known(queue.lane.name, [entry.id for entry in entries])
        there = {entry.id for entry in known.values() if entry.is_held}
        fresh = [(entry, values) for entry, values in zip(entries, letters, strict=True) if entry.id not in there]
        self.passed_over += len(letters) - len(fresh)
        url = queue.clients.queue_url(dead.name)
        self._send_all(Sender(queue.clients, dead.name, url, queue.lane), [values for _, values in fresh])
        queue.index.add([entry for entry, _ in fresh if entry.buried], again=True)

    def _send_all(self, sender: Sender, letters: list[dict[str, Any]]) -> None:
        parameters = []
        for values in letters:
            one: dict[str, Any] = {"MessageBody": values["body"], "MessageAttributes": values["attributes"]}
            if sender.queue.endswith(".fifo"):
                id_ = str(values["entry"]["id"])[-100:]
                one |= {"MessageGroupId": id_ if self._queue is None else values.get("group") or "default"}
                one |= {"MessageDeduplicationId": f"import-{id_}"}
            parameters.append(one)
        failures = send_many(sender, parameters)
        if failures:
            raise failures[0].error
        self.sent += len(letters)

    def _read_journal(self, target: str) -> int:
        try:
            values = json.loads(self._journal.read_text(encoding="utf-8"))
            return int(values["done"]) if values["target"] == target and values["size"] == self.size else 0
        except (OSError, ValueError, LookupError, TypeError):
            return 0

    def _write_journal(self, target: str, done: int) -> None:
        new = self._journal.with_name(f"{self._journal.name}.new")
        new.write_text(json.dumps({"target": target, "size": self.size, "done": done}), encoding="utf-8")
        os.replace(new, self._journal)


def _keep_reason(values: dict[str, Any], limit_bytes: int) -> None:
    """Give a letter that SQS had redriven the reason that the index had found, if it has room for it."""
    attributes, entry = values["attributes"], values["entry"]
    raw = attributes.get(REASON_ATTRIBUTE, {}).get("StringValue", "")
    if "error_type" in raw or len(attributes) >= limits.MAX_MESSAGE_ATTRIBUTES:
        return
    known = {field.name for field in dataclasses.fields(Reason)}
    given = {name: value for name, value in entry.items() if name in known}
    reason = Reason.from_json(json.dumps({**given, "message": entry.get("error", ""), "group": values.get("group")}))
    attribute = {"DataType": "String", "StringValue": reason.to_json()}
    if message_bytes(values["body"], {**attributes, REASON_ATTRIBUTE: attribute}) <= limit_bytes:
        attributes[REASON_ATTRIBUTE] = attribute
