"""Ten thousand sockets with an open event stream each, against the dashboard's own process."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from scrapy_resume.web.live import STREAMS_AT_MOST
from tests.commands.conftest import Shelf
from tests.support.skips import not_started

from .browser import dashboard, without_token
from .jobs import shop
from .test_server import answer_to

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

SOCKETS = 10_000
AT_A_TIME = 200
HEAD = "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer its-token\r\n\r\n"


@contextmanager
def open_files(wanted: int) -> Iterator[None]:
    """May be so many, in the processes that are started as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        not_started("10,000 sockets", f"only {hard} files may be open (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def asked(address: tuple[str, int], count: int) -> list[socket.socket]:
    """Sockets that have asked for a stream."""
    found = []
    for _ in range(count):
        one = socket.create_connection(address, timeout=30)
        one.sendall(HEAD.encode())
        found.append(one)
    return found


def statuses(sockets: list[socket.socket], seconds: float) -> Counter[str]:
    """The status line of each answer."""
    found: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        while found.total() < len(sockets) and time.monotonic() < deadline:
            for key, _ in selector.select(1.0):
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                found[key.fileobj.recv(12).decode()] += 1
    return found


def test_ten_thousand_sockets_harm_no_reader(shelf: Shelf) -> None:
    shop(shelf)
    bearer = {"Authorization": "Bearer its-token"}
    with open_files(SOCKETS + 1_000), dashboard(shelf.location, RESUME_WEB_TOKEN="its-token") as at:
        plain = without_token(at)
        parts = urlsplit(plain)
        address = (parts.hostname or "", parts.port or 0)
        sockets: list[socket.socket] = []
        found: Counter[str] = Counter()
        try:
            for _ in range(SOCKETS // AT_A_TIME):
                fresh = asked(address, AT_A_TIME)
                sockets += fresh
                found += statuses(fresh, 60)
            assert found == {
                "HTTP/1.1 200": STREAMS_AT_MOST,
                "HTTP/1.1 503": SOCKETS - STREAMS_AT_MOST,
            }
            began = time.monotonic()
            assert answer_to(f"{plain}/jobs/books~1", **bearer)[0] == 200
            assert time.monotonic() - began < 10
        finally:
            for one in sockets:
                one.close()
        deadline = time.monotonic() + 60
        while True:
            (again,) = asked(address, 1)
            with again:
                if statuses([again], 10) == {"HTTP/1.1 200": 1}:
                    break
            assert time.monotonic() < deadline
