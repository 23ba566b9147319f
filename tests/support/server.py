"""The local site's own process: HTTP/1.1 with keep-alive, and a log of every hit.

    python -m tests.support.server --log hits.jsonl --pages 60 --latency 0.01

prints its port on the first line and serves until its standard input is closed.
The log has one JSON line for each event; a single ``write`` to a file opened for
appending keeps lines whole whoever else may read or end this process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import count

from tests.support.pages import Answer, Query, answer

CONTROL = "/-/begin"
TRIES = 20
"""To find a port that is free on all addresses."""


@dataclass
class HitLog:
    """Appends events; ``at`` is the system's monotonic clock, the same in every process."""

    descriptor: int

    @classmethod
    def open(cls, path: str) -> HitLog:
        return cls(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))

    def write(self, event: str, hit: int, query: Query, status: int | None) -> None:
        row = {
            "event": event,
            "hit": hit,
            "url": query.target,
            "method": query.method,
            "status": status,
            "at": time.monotonic(),
        }
        os.write(self.descriptor, json.dumps(row).encode() + b"\n")


class Server:
    """Answers queries; ``begin`` starts a new log and forgets how often pages were asked."""

    def __init__(self, log: str, pages: int, latency: float) -> None:
        self.pages = pages
        self.latency = latency
        self.stage = 1
        self.hits = count()
        self.begin(log)

    def begin(self, log: str) -> None:
        self.log = HitLog.open(log)
        self.asked: Counter[str] = Counter()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.serve_one(reader, writer):
                pass
        writer.close()

    async def serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; false when the connection is to end."""
        query = await read_query(reader)
        if query.path == CONTROL:
            self.begin(query.argument("log", ""))
            self.latency = float(query.argument("latency", str(self.latency)))
            self.stage = int(query.argument("stage", "1"))
            writer.write(rendered(Answer(b"begun")))
            await writer.drain()
            return True
        key = f"{query.method} {query.target}"
        query = replace(query, asked_before=self.asked[key], stage=self.stage)
        self.asked[key] += 1
        log, hit = self.log, next(self.hits)
        log.write("asked", hit, query, None)
        reply = answer(query, self.pages)
        delay = self.latency + reply.delay_seconds
        if delay:
            await asyncio.sleep(delay)
        if reply.dropped:
            log.write("answered", hit, query, 0)
            return False
        writer.write(rendered(reply, with_body=query.method != "HEAD"))
        log.write("answered", hit, query, reply.status)
        await writer.drain()
        return True


async def read_query(reader: asyncio.StreamReader) -> Query:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Query(method, target, headers, body)


def rendered(reply: Answer, *, with_body: bool = True) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + reply.body if with_body else head


async def listen(server: Server, addresses: Sequence[str]) -> int:
    """Takes one port on all addresses; the port."""
    for _ in range(TRIES):
        with contextlib.ExitStack() as opened:
            port = 0
            try:
                for address in addresses:
                    one = await asyncio.start_server(server.connected, address, port, limit=2**20)
                    opened.callback(one.close)
                    port = one.sockets[0].getsockname()[1]
            except OSError as error:
                trouble = error
                continue
            opened.pop_all()
            return port
    raise SystemExit(f"no port is free on all addresses: {trouble}")


async def serve(server: Server, addresses: Sequence[str]) -> None:
    print(await listen(server, addresses), flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="file of the hit log")
    parser.add_argument("--pages", type=int, default=60, help="size of the page graph")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--address", nargs="+", default=["127.0.0.1"], help="where to listen")
    options = parser.parse_args()
    server = Server(options.log, options.pages, options.latency)
    asyncio.run(serve(server, options.address))


if __name__ == "__main__":
    main()
