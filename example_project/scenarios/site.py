"""A site of cars, in a thread of this process: it does what a scenario tells it to.

`/ford/1` is the first page of the make ford. A page has five cars and, but for the last one, a link
to the next page. `/dealers/1` is the same with dealers. What a crawl must give is known beforehand:
`cars_of` and `DEALERS`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAKES = ("audi", "bmw", "fiat", "ford", "kia", "seat")
"""Those of makes.txt, in its order; the site has `opel` too."""

PAGES = 2
CARS_A_PAGE = 5
PHOTOS_A_CAR = 3
PATIENCE_SECONDS = 60.0
"""How long anything is waited for before the scenario fails."""


def cars_of(*makes: str, pages: Iterable[int] = range(1, PAGES + 1)) -> list[dict[str, str]]:
    """The cars on those pages of the makes, as the spider yields them."""
    return [
        {"make": make, "model": f"{make} {(page - 1) * CARS_A_PAGE + at}"}
        for make in makes
        for page in pages
        for at in range(1, CARS_A_PAGE + 1)
    ]


DEALERS = [{"dealer": car["model"]} for car in cars_of("dealers")]


def pages_of(*makes: str) -> list[str]:
    """The paths of all pages of the makes."""
    return [f"/{make}/{page}" for make in makes for page in range(1, PAGES + 1)]


@dataclass
class Trouble:
    """How a page answers instead of its content."""

    status: int
    times: float
    """How often; infinite: until it is healed."""
    headers: Mapping[str, str]


class Site:
    """The site, from `open` to the end of that context."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, float]] = []
        """Paths that were requested, and when (`time.monotonic()`), in order of arrival."""
        self._troubles: dict[str, Trouble] = {}
        self._held: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def open(self) -> Iterator[Site]:
        """Serves on a free port of 127.0.0.1 until the context ends."""
        handler = type("Handler", (_Handler,), {"site": self})
        server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.release()
            server.shutdown()
            thread.join()
            server.server_close()

    def fail(self, path: str, status: int, times: float = float("inf"), **headers: str) -> None:
        """The page answers with that status, so many times; headers with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self._changed:
            self._troubles[path] = Trouble(status, times, named)

    def heal(self, *paths: str) -> None:
        """The pages answer with their content again."""
        with self._changed:
            for path in paths:
                self._troubles.pop(path, None)

    def hold(self, *paths: str) -> None:
        """The pages take the request and don't answer until they are released."""
        with self._changed:
            self._held.update(paths)

    def release(self) -> None:
        """The pages that are held answer."""
        with self._changed:
            self._held.clear()
            self._changed.notify_all()

    def wait_until_asked(self, *paths: str, times: int = 1) -> None:
        """Returns when each of the pages was requested so often. Raises TimeoutError."""
        with self._changed:
            enough = self._changed.wait_for(
                lambda: all(self._counts()[path] >= times for path in paths), PATIENCE_SECONDS
            )
        if not enough:
            raise TimeoutError(f"nobody requested {' and '.join(paths)} {times} times")

    def counts(self, since: int = 0) -> Counter[str]:
        """Path → how often it was requested, from that request on (an index into `asked`)."""
        with self._changed:
            return self._counts(since)

    def times(self, path: str) -> list[float]:
        """When the page was requested."""
        with self._changed:
            return [at for asked, at in self.asked if asked == path]

    def _counts(self, since: int = 0) -> Counter[str]:
        return Counter(path for path, _ in self.asked[since:])

    def answer(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body; returns when the page is not held."""
        with self._changed:
            self.asked.append((path, time.monotonic()))
            self._changed.notify_all()
            self._changed.wait_for(lambda: path not in self._held)
            trouble = self._troubles.get(path)
            if trouble is not None and trouble.times > 0:
                trouble.times -= 1
                return trouble.status, trouble.headers, b""
        make, _, page = path[1:].partition("/")
        return 200, {}, _page(make, int(page)).encode()


def _page(make: str, page: int) -> str:
    rows = "".join(
        f'<li data-make="{make}" data-photos="{PHOTOS_A_CAR}">{car["model"]}</li>'
        for car in cars_of(make, pages=[page])
    )
    following = f'<a class="next" href="/{make}/{page + 1}">next</a>' if page < PAGES else ""
    return f"<html><body><ul>{rows}</ul>{following}</body></html>"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A crawl that was killed has hung up: that is what scenarios are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        """Answers as the site says."""
        status, headers, body = self.site.answer(self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "text/html"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The scenario prints what matters."""
