"""The server of the dashboard: uvicorn on one socket, until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.web.app import Dashboard

WAITED_SECONDS: Final = 20.0
"""A client that has opened a connection has to ask within this time, and to ask to its end."""
LONGEST_HEAD: Final = 32 * 1024
"""Bytes of the head of a request."""
CLOSE_SECONDS: Final = 2
"""What is being answered when the server ends has so long."""
BACKLOG: Final = 256


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens: who connects from now on is served. Raises ``ConfigurationError``."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(BACKLOG)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be listened to ({error.strerror or error}). Choose another"
            " --port; 0 takes any that is free"
        ) from error
    return found


class PatientProtocol(H11Protocol):
    """Closes connections of clients that do not ask, or do not come to the end of it."""

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        self._waiting_since: float | None = time.monotonic()
        self._check = self.loop.call_later(WAITED_SECONDS / 2, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has left."""
        self._check.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = time.monotonic()
        elif time.monotonic() - self._waiting_since > WAITED_SECONDS:
            self.transport.close()
            return
        self._check = self.loop.call_later(WAITED_SECONDS / 2, self._look)


class DashboardServer(uvicorn.Server):
    """Ends by itself, with exit code 0, when it is asked to."""

    def __init__(self, config: uvicorn.Config, dashboard: Dashboard) -> None:
        super().__init__(config)
        self._dashboard = dashboard

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Within it, SIGINT and SIGTERM end the server; a second one does at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _asked(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._dashboard.streams.close()


def serve(dashboard: Dashboard, listening: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        dashboard,
        log_config=None,
        access_log=False,  # it would have the token
        server_header=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http=PatientProtocol,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        backlog=BACKLOG,
    )
    asyncio.run(DashboardServer(config, dashboard).serve(sockets=[listening]))
