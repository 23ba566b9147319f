"""Signs of life while the database is out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.store.contract import Opening

pytest.importorskip("psycopg")


class Out:
    """A database that does not answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.often = threading.Event()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.asked += 1
        if self.asked >= 3:
            self.often.set()
        raise StoreUnavailableError("the server is gone")
        yield


def test_heartbeats_in_vain_are_tried_again_at_leisure() -> None:
    from scrapy_resume.store.postgres_life import PAUSE_SECONDS, Life, Marks

    link = Out()
    opening = Opening(spider="books", worker="h:1", heartbeat_seconds=0.01, orphan_seconds=1)
    life = Life(link, 1, 1, opening, Marks(), careful=False)  # type: ignore[arg-type]
    began = time.monotonic()
    life.start()
    assert link.often.wait(20)
    life.stop()
    assert link.asked <= 2 + (time.monotonic() - began) / PAUSE_SECONDS
