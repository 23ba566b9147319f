"""A fast local site: every page is rendered before the first request comes.

    python -m benchmarks.support.site --pages 1000

prints its port on the first line and serves until its standard input is closed.
``/page/N`` links to twenty other pages, so that each is linked about twenty times and all
hang together; any other path is a page without links. With one link a page the site is a
chain. With many hosts (``127.0.1.1`` and so on, all on one port) page N stands on host N
modulo their number. With twins each link is followed by one to its twin, the same page on one
more host: half of all URLs are on that one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LINKS = 20
PARAGRAPH = "<p>Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy.</p>"
PARAGRAPHS = 20


def rendered(title: str, links: Sequence[tuple[str, int]]) -> bytes:
    """A whole HTTP response. A link is an address, empty for this host's, and a page."""
    anchors = "".join(
        f'<li><a href="{address}/page/{page}">Page {page}</a></li>' for address, page in links
    )
    body = (
        f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1>"
        f"<ul>{anchors}</ul>{PARAGRAPH * PARAGRAPHS}</body></html>"
    ).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def links_of(number: int, pages: int, links: int) -> list[int]:
    """A tree of so many branches, wrapped around."""
    return [(links * number + step) % pages for step in range(1, links + 1)]


def host_of(page: int, hosts: int) -> str:
    """The loopback address on which a page stands."""
    return f"127.0.1.{page % hosts + 1}" if hosts > 1 else "127.0.0.1"


def twin_host(hosts: int) -> str:
    """The loopback address on which the twins of all pages stand."""
    return f"127.0.1.{hosts + 1}"


class Answering(asyncio.Protocol):
    """One connection: GET requests without a body, kept alive."""

    def __init__(
        self,
        pages: dict[bytes, bytes],
        latency: float,
        page_latency: float,
        log: Callable[[str, bytes], None],
    ) -> None:
        self._pages = pages
        self._latency = latency
        self._page_latency = page_latency
        self._log = log
        self._leaf = rendered("Leaf", [])
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            self._log(self._host, path)
            page = self._pages.get(path)
            latency = self._latency if page is None else self._page_latency
            if latency:
                loop = asyncio.get_running_loop()
                loop.call_later(latency, self._answer, page or self._leaf)
            else:
                self._answer(page or self._leaf)

    def _answer(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


def hit_log(path: str) -> Callable[[str, bytes], None]:
    """Appends one line a hit: the system's monotonic clock, the host, and the path."""
    if not path:
        return lambda *_: None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(host: str, target: bytes) -> None:
        os.write(descriptor, b"%.6f %s %s\n" % (time.monotonic(), host.encode(), target))

    return write


class FastSite:
    """A running site. ``latency`` is that of pages without links, ``page_latency`` that of all
    others, in seconds."""

    def __init__(
        self,
        pages: int = 1_000,
        *,
        links: int = LINKS,
        hosts: int = 1,
        latency: float = 0.0,
        page_latency: float = 0.0,
        twins: bool = False,
        log: Path | None = None,
    ) -> None:
        self._hosts = hosts
        self._words = ["--pages", str(pages), "--links", str(links), "--hosts", str(hosts)]
        self._words += ["--latency", str(latency), "--page-latency", str(page_latency)]
        self._words += ["--twins"] if twins else []
        self._words += ["--log", str(log)] if log is not None else []
        self.url = ""

    def __enter__(self) -> FastSite:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *self._words],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port.isdigit(), "the site did not start"
        self.url = f"http://{host_of(0, self._hosts)}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def texts(options: argparse.Namespace, port: int) -> dict[bytes, bytes]:
    """All responses, by path."""

    def address(page: int) -> str:
        many = options.hosts > 1 or options.twins
        return f"http://{host_of(page, options.hosts)}:{port}" if many else ""

    rows = {}
    for number in range(options.pages):
        links = links_of(number, options.pages, options.links)
        links_with_host = []
        for page in links:
            links_with_host.append((address(page), page))
            if options.twins:
                links_with_host.append((f"http://{twin_host(options.hosts)}:{port}", page))
        rows[f"/page/{number}".encode()] = rendered(f"Page {number}", links_with_host)
    return rows


async def serve(options: argparse.Namespace) -> None:
    pages: dict[bytes, bytes] = {}
    write = hit_log(options.log)
    loop = asyncio.get_running_loop()
    port = 0
    hosts = [host_of(place, options.hosts) for place in range(options.hosts)]
    for host in [*hosts, twin_host(options.hosts)] if options.twins else hosts:
        listening = await loop.create_server(
            lambda: Answering(pages, options.latency, options.page_latency, write),
            host,
            port,
        )
        port = listening.sockets[0].getsockname()[1]
    pages.update(texts(options, port))
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--links", type=int, default=LINKS, help="links a page")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds, of linkless pages")
    parser.add_argument("--page-latency", type=float, default=0.0, help="seconds, of all others")
    parser.add_argument("--twins", action="store_true", help="of all pages, on one more host")
    parser.add_argument("--log", default="", help="file of the hit log")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
