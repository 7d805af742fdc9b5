"""Many clients at once over loopback: each has a connection of its own and one request at a time."""

import asyncio
import json
import resource
import time
from collections.abc import Iterator, Sequence


def crowd(port: int, requests: Sequence[bytes], clients: int) -> tuple[float, list[bytes]]:
    """Seconds from the first byte sent to the last answer, and the bodies; any refusal ends it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (hard, hard)
    )  # the usual soft limit allows no thousand clients
    return asyncio.run(_crowd(port, requests, clients))


def post(target: str, value: object) -> bytes:
    """A whole request, made before the clock starts."""
    body = json.dumps(value).encode()
    head = f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def _crowd(port: int, requests: Sequence[bytes], clients: int) -> tuple[float, list[bytes]]:
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    waiting, answers = iter(requests), list[bytes]()
    try:
        start = time.perf_counter()
        await asyncio.gather(*(_client(reader, writer, waiting, answers) for reader, writer in pairs))
        return time.perf_counter() - start, answers
    finally:
        for _, writer in pairs:
            writer.close()


async def _client(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: Iterator[bytes], answers: list[bytes]
) -> None:
    for request in waiting:
        writer.write(request)
        answers.append(await _answer(reader))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        _, _, after = head.partition(b"content-length:")
        body = await reader.readexactly(int(after.partition(b"\r\n")[0]))
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(f"{head.partition(bytes([13]))[0]!r}: {body[:500]!r}")
    return body
