"""However the bytes of many requests are cut into pieces, they are answered in order, each once."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import URL, InProcessServer, request

BODIES = ["x", "é" * 40, "long " * 400]


async def answers(server: InProcessServer, pieces: list[bytes], count: int) -> bytes:
    connection, wire = server.connect()
    for piece in pieces:
        connection.data_received(piece)
        await asyncio.sleep(0)
    while wire.written.count(b"HTTP/1.1 ") < count:
        await asyncio.sleep(0)
    return wire.written


@settings(max_examples=100)
@given(bodies=st.lists(st.sampled_from(BODIES), min_size=1, max_size=6), data=st.data())
def test_any_pieces_are_answered_alike(bodies: list[str], data: st.DataObject) -> None:
    stream = b"".join(
        request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": body}, ensure_ascii=False).encode())
        for body in bodies
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    server = InProcessServer(None)
    try:
        server.call("CreateQueue", QueueName="q")
        written = server.loop.run_until_complete(answers(server, pieces, len(bodies)))
        assert written.count(b"HTTP/1.1 200 ") == written.count(b"HTTP/1.1 ") == len(bodies)
        kept = server.call("ReceiveMessage", QueueUrl=URL, MaxNumberOfMessages=10)["Messages"]
        assert [message["Body"] for message in kept] == bodies
    finally:
        server.close()
