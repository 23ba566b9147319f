"""The spider of the fleet tests, for ``scrapy runspider``: takes a graph over many hosts.

``-a graph=20,300,even,tree -a port=N``: begins with page 0. ``-a starts=500`` begins with that
many pages, ``-a start_pause=0.01`` with a pause in seconds after each; ``-a gate=FILE`` yields
the last tenth of them when that file is there. ``-a follow=0`` takes no links. What happens to
the spider is written to the file ``FLEET_JOURNAL``, one JSON line each.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.http import Response

from tests.support.hosts_graph import HostGraph, page_of

BEGAN = "began"
"""``start()`` began to run."""

EXHAUSTED = "exhausted"
"""``start()`` came to its end."""

CLOSED = "closed"

GATE_POLL_SECONDS = 0.02


class FleetSpider(Spider):
    name = "fleet"
    graph: str
    port: str
    starts = "1"
    start_pause = "0"
    follow = "1"
    gate = ""

    async def start(self) -> AsyncIterator[Any]:
        self.note(BEGAN)
        graph = HostGraph.parse(self.graph)
        pause_seconds = float(self.start_pause)
        starts = int(self.starts)
        for page in range(starts):
            if self.gate and page == starts * 9 // 10:
                await self.wait_at_gate()
            yield Request(graph.url(page, int(self.port)))
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
        self.note(EXHAUSTED)

    async def wait_at_gate(self) -> None:
        while not os.path.exists(self.gate):
            await asyncio.sleep(GATE_POLL_SECONDS)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        host = urlsplit(response.url).hostname
        yield {"url": response.url, "host": host, "n": page_of(response.url)}
        if int(self.follow):
            for href in response.css("li a::attr(href)").getall():
                yield response.follow(href)

    def closed(self, reason: str) -> None:
        self.note(CLOSED, reason)

    def note(self, event: str, reason: str | None = None) -> None:
        row = {
            "event": event,
            "worker": self.settings["USER_AGENT"],
            "pid": os.getpid(),
            "reason": reason,
            "at": time.monotonic(),
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.settings["FLEET_JOURNAL"], flags, 0o644)
        os.write(descriptor, json.dumps(row).encode() + b"\n")
        os.close(descriptor)
