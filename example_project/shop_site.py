"""A local book shop to crawl: 600 books, with the difficulties of a real site.

    python shop_site.py --port 8765 --hits hits.jsonl --latency 0.025

It has categories with several pages, images, an API for the stock that fails now and then, old URLs
that redirect (some twice), links to books that are gone (404 and 410), pages that answer the first
two requests with 503, an area that robots.txt disallows and every category links to, and a sitemap.
The items that a crawl must yield are known beforehand: `expected_products()`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from shop_catalogue import DEFAULT_SITE, STEP_FIELDS, expected_products
from shop_pages import Answer, build_pages, crawl_page_count, gone, out_of_order, unavailable

__all__ = [
    "DEFAULT_SITE",
    "STEP_FIELDS",
    "HitLog",
    "ShopSite",
    "crawl_page_count",
    "expected_products",
]


class HitLog:
    """Writes a line of JSON for each request that arrives and for each response that is sent.

    Each line is one `os.write` in append mode, so that a process that reads the file meanwhile
    never sees part of a line.
    """

    def __init__(self, path: Path | None) -> None:
        """Opens the file; with `None` nothing is logged."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = None if path is None else os.open(path, flags, 0o644)

    def write(self, event: str, path: str, status: int | None) -> None:
        """Appends a line. The status is `None` for a request."""
        if self._file is None:
            return
        line = {"event": event, "path": path, "status": status, "time": time.time()}
        os.write(self._file, json.dumps(line).encode() + b"\n")


class ShopSite:
    """The shop as an HTTP/1.1 server. It counts in memory how often each path was requested."""

    def __init__(self, hits: HitLog, latency: float) -> None:
        """`latency`: the mean response time in seconds; it is constant for each path."""
        self._hits = hits
        self._latency = latency
        self._pages: Mapping[str, Answer] = {}
        self._times_asked: Counter[str] = Counter()

    async def listen(self, port: int) -> tuple[asyncio.Server, str]:
        """Starts to listen on the loopback interface. Returns the server and its URL.

        Port 0 selects a free port.
        """
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        site = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._pages = build_pages(site)
        return server, site

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection until the client or the server closes it."""
        gone_away = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError)
        with contextlib.suppress(*gone_away), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split("\r\n", 1)[0].split(" ", 2)
                path = target.partition("?")[0]
                self._hits.write("asked", path, None)
                answer = self._answer(path)
                await self._take_time(path)
                if reader.at_eof() or writer.is_closing():
                    return
                keep = "connection: close" not in head.lower()
                writer.write(_packed(answer, keep, with_body=method != "HEAD"))
                self._hits.write("answered", path, answer.status)
                await writer.drain()
                if not keep:
                    return

    def _answer(self, path: str) -> Answer:
        answer = self._pages.get(path) or gone(path)
        self._times_asked[path] += 1
        if self._times_asked[path] > answer.failures:
            return answer
        return out_of_order() if path.startswith("/api/") else unavailable()

    async def _take_time(self, path: str) -> None:
        """Waits between 0.5 and 1.5 times the latency, depending on the path."""
        if self._latency:
            share = 0.5 + zlib.crc32(path.encode()) / 2**32
            await asyncio.sleep(self._latency * share)


def _packed(answer: Answer, keep: bool, *, with_body: bool) -> bytes:
    headers = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "keep-alive" if keep else "close",
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + (answer.body if with_body else b"")


async def _run(port: int, hits: HitLog, latency: float) -> None:
    server, site = await ShopSite(hits, latency).listen(port)
    print(f"listening on {site}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serves the shop until it is interrupted."""
    parser = argparse.ArgumentParser(description="A local book shop to crawl.")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument("--hits", type=Path, help="a file that each request is logged to")
    parser.add_argument("--latency", type=float, default=0.025, help="mean seconds for a page")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options.port, HitLog(options.hits), options.latency))


if __name__ == "__main__":
    main()
