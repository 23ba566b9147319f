"""The dashboard's own server, in a thread of the tests' process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from scrapy_resume.web import server
from scrapy_resume.web.app import Dashboard
from scrapy_resume.web.board import Board


class InThread(server.DashboardServer):
    """Signals are for the main thread."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield


@contextmanager
def served(board: Board) -> Iterator[tuple[str, int]]:
    """Serve it on a free port: (host, port)."""
    app = Dashboard(board)
    listening = server.bound_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", ws="none", loop="asyncio", http=server.PatientProtocol
    )
    running = InThread(config, app)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])))
    thread.start()
    try:
        yield listening.getsockname()[:2]
    finally:
        running.should_exit = True
        app.streams.close()
        thread.join()
