"""An extension that writes down what it is told, as it is told, for ``EXTENSIONS``."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred

from scrapy_resume import open_store, signals

ASYNC = ("request_failed", "job_recovered", "unit_completed")
"""Signals with a handler that awaits something."""
LOOKED_UP = 10
"""Of so many requests, one is looked up in the store when its signal comes."""


class Listener:
    """Handlers of all signals, or of those in ``LISTEN_TO``; a line each in ``LISTEN_FILE``."""

    def __init__(self, crawler: Any) -> None:
        self.path = Path(crawler.settings["LISTEN_FILE"])
        self.location = crawler.settings["RESUME_STORE"]
        self.handlers = []
        self.dies_of = crawler.settings.get("LISTEN_DIES")
        for name in crawler.settings.getlist("LISTEN_TO") or signals.BY_NAME:
            handler = self.handler_of(name)
            self.handlers.append(handler)
            crawler.signals.connect(handler, signals.BY_NAME[name])
        if crawler.settings.getbool("LISTEN_BADLY"):
            crawler.signals.connect(self.bad, signals.request_finished)
            crawler.signals.connect(self.bad_later, signals.request_failed)

    @classmethod
    def from_crawler(cls, crawler: Any) -> Listener:
        return cls(crawler)

    def handler_of(self, name: str) -> Any:
        def handler(**details: Any) -> None:
            self.heard(name, **details)

        async def later(**details: Any) -> None:
            await self.heard_later(name, **details)

        return later if name in ASYNC else handler

    def heard(self, name: str, spider: Any, **details: Any) -> None:
        assert spider.name
        if name == self.dies_of:
            os.kill(os.getpid(), signal.SIGKILL)
        details.pop("signal", None)
        details.pop("sender", None)
        request = details.get("request")
        if request is not None and crc32(request["url"].encode()) % LOOKED_UP == 0:
            found = open_store(self.location).requests(details["job"], url=request["url"])
            details["stored"] = [row["state"] for row in found]
        line = json.dumps({"event": name, "pid": os.getpid(), **details})
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    async def heard_later(self, name: str, spider: Any, **details: Any) -> None:
        turn: Deferred[None] = Deferred()
        turn.callback(None)
        await turn
        self.heard(name, spider, **details)

    def bad(self) -> None:
        raise ValueError("a handler that fails")

    async def bad_later(self) -> None:
        raise ValueError("a handler that fails later")


def told(path: Path) -> list[dict[str, Any]]:
    """What was written down; the last line may have been cut off by a death."""
    lines = path.read_text().split("\n") if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
