"""The process of a site of many hosts: one port on many loopback addresses, one hit log.

    python -m tests.support.hosts_server --log hits.jsonl --graph 20,300,even,tree --latency 0.05

prints its port on the first line and serves until its standard input is closed. The log is
that of ``tests.support.server``, with the host that was asked, the worker that asked (its user
agent), and the moment at which the worker's downloader let the request go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from itertools import count

from tests.support.hosts_graph import PATH, HostGraph, page_of
from tests.support.pages import Answer, Query
from tests.support.server import read_query, rendered

HOLD = "/-/hold"
HOLD_FROM = "/-/hold-from/"
"""``/-/hold-from/20``: as ``HOLD``, from the twentieth request for a page on."""
RELEASE = "/-/release"
DOWN = "/-/down"
"""``/-/down/HOST/503`` or ``/-/down/HOST/drop``: how the host fails from now on."""
UP = "/-/up"
DROPPED = "drop"
SENT_AT = "X-Sent-At"
"""A header: seconds of the monotonic clock, which is the same in every process."""

TRIES = 20


@dataclass
class Server:
    """Answers after ``latency`` seconds; while it is held, not before it is released."""

    descriptor: int
    graph: HostGraph
    latency: float
    port: int = 0
    down: dict[str, str] = field(default_factory=dict)
    """Host → how it fails: the status that it answers, or ``drop``."""
    hits: count[int] = field(default_factory=count)
    hold_from: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self.serve_one(reader, writer)
        writer.close()

    async def serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_query(reader)
        if query.path.startswith("/-/"):
            self.control(query.path)
            writer.write(rendered(Answer(b"so be it")))
            await writer.drain()
            return
        hit = next(self.hits)
        self.note("asked", hit, query, None)
        if self.hold_from is not None and hit + 1 >= self.hold_from:
            self.hold_from = None
            self.released.clear()
        await self.released.wait()
        await asyncio.sleep(self.latency)
        failure = self.down.get(host_of(query))
        if failure == DROPPED:
            self.note("answered", hit, query, 0)
            raise ConnectionError
        reply = self.answer(query)
        if failure is not None:
            reply = Answer(b"down", status=int(failure))
        # Before it is sent: whoever has an answer can ask anew, and is not to be seen as one
        # that asks for two things at a time.
        self.note("answered", hit, query, reply.status)
        writer.write(rendered(reply))
        await writer.drain()

    def control(self, path: str) -> None:
        if path == HOLD:
            self.released.clear()
        elif path == RELEASE:
            self.released.set()
        elif path.startswith(HOLD_FROM):
            self.hold_from = int(path.removeprefix(HOLD_FROM))
        elif path.startswith(DOWN):
            host, failure = path.removeprefix(f"{DOWN}/").split("/")
            self.down[host] = failure
        else:
            self.down.pop(path.removeprefix(f"{UP}/"))

    def answer(self, query: Query) -> Answer:
        if not query.path.startswith(PATH):
            return Answer(b"no such page", status=404)
        page = page_of(query.path)
        anchors = "".join(
            f'<li><a href="{self.graph.url(link, self.port)}">Page {link}</a>'
            for link in self.graph.links_of(page)
        )
        return Answer(f"<html><title>Page {page}</title><ul>{anchors}</ul></html>".encode())

    def note(self, event: str, hit: int, query: Query, status: int | None) -> None:
        sent_at = query.headers.get(SENT_AT.lower())
        row = {
            "event": event,
            "hit": hit,
            "host": host_of(query),
            "url": query.target,
            "method": query.method,
            "status": status,
            "worker": query.headers.get("user-agent", ""),
            "sent_at": float(sent_at) if sent_at else None,
            "at": time.monotonic(),
        }
        os.write(self.descriptor, json.dumps(row).encode() + b"\n")


def host_of(query: Query) -> str:
    return query.headers.get("host", "").partition(":")[0]


async def listen(server: Server) -> None:
    """Takes one port on all addresses."""
    for _ in range(TRIES):
        with contextlib.ExitStack() as opened:
            port = 0
            try:
                for host in server.graph.host_names:
                    one = await asyncio.start_server(server.connected, host, port, limit=2**20)
                    opened.callback(one.close)
                    port = one.sockets[0].getsockname()[1]
            except OSError as error:
                trouble = error
                continue
            opened.pop_all()
            server.port = port
            return
    raise SystemExit(f"no port is free on all addresses: {trouble}")


async def serve(log: str, graph: HostGraph, latency: float) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    server = Server(descriptor, graph, latency)
    server.released.set()
    await listen(server)
    print(server.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="file of the hit log")
    parser.add_argument("--graph", required=True, type=HostGraph.parse, help="hosts and pages")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each answer")
    options = parser.parse_args()
    asyncio.run(serve(options.log, options.graph, options.latency))


if __name__ == "__main__":
    main()
