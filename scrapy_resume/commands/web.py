"""``scrapy resume web``: the dashboard."""

from __future__ import annotations

import os
import secrets
import sys
from argparse import ArgumentParser
from functools import partial
from typing import TYPE_CHECKING, Final

from scrapy_resume.commands.arguments import count
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy_resume.web.board import Board

HELP: Final = "serve a dashboard of all jobs of the store, live, in a browser"

PORT: Final = 8070
TOKEN: Final = "RESUME_WEB_TOKEN"
TOKEN_BYTES: Final = 24
EXTRA: Final = frozenset(
    {"anyio", "h11", "jinja2", "markupsafe", "prometheus_client", "starlette", "uvicorn"}
)
"""Packages of the extra ``[web]``."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=count, default=PORT, help=f"port to listen on (default {PORT}; 0: any)"
    )
    parser.add_argument(
        "--base-path", default="/", metavar="PATH", help="path under which a proxy serves it"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name under which it may be called, beside localhost; a proxy's",
    )
    parser.add_argument("--read-only", action="store_true", help="nothing can be changed")
    parser.add_argument("--metrics-only", action="store_true", help="only /metrics and /healthz")


def run(call: Invocation) -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        from scrapy_resume.web.app import Dashboard
        from scrapy_resume.web.server import bound_socket, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        raise ConfigurationError(
            f"the dashboard needs {error.name}, which is not installed: "
            'pip install "scrapy-resume[web]"'
        ) from None
    if call.arguments.port > 65_535:
        call.usage_error("--port is a number up to 65535")
    board = _board(call)
    board.open_reports().half_deleted()  # a store that cannot be opened is said now
    dashboard = Dashboard(board)
    with bound_socket(call.arguments.host, call.arguments.port) as listening:
        host, port = listening.getsockname()[:2]
        _say(call, board, host, port)
        serve(dashboard, listening)
    return 0


def _board(call: Invocation) -> Board:
    from scrapy_resume.commands.step_arguments import declared_of
    from scrapy_resume.settings.location import event_directory
    from scrapy_resume.settings.table import parse_setting
    from scrapy_resume.web.board import Board

    return Board(
        location=call.store_location(),
        open_reports=call.reports,
        events=event_directory(call.settings),
        token=_token(call),
        hosts=_hosts(call),
        base=_base(call),
        read_only=call.arguments.read_only,
        metrics_only=call.arguments.metrics_only,
        retry_rounds=parse_setting("RESUME_RETRY_ROUNDS", call.settings),
        crash_limit=parse_setting("RESUME_CRASH_LIMIT", call.settings),
        stale_seconds=parse_setting("RESUME_STALE_AFTER", call.settings),
        declared_step=partial(declared_of, call.settings),
    )


def _token(call: Invocation) -> str:
    """The token: of the environment, of the settings, or a new one."""
    from scrapy_resume.settings.table import parse_setting

    given = os.environ.get(TOKEN)
    if given is None:
        given = parse_setting(TOKEN, call.settings)
    if given is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    if not given.strip():
        raise ConfigurationError(f"{TOKEN} is empty. Leave it out to have a new one each time")
    return str(given)


def _hosts(call: Invocation) -> frozenset[str]:
    """The names under which it may be called."""
    listened = call.arguments.host.lower()
    names = {name.lower().strip("[]").rstrip(".") for name in call.arguments.allow_host}
    if listened in ("", "0.0.0.0", "::"):
        return frozenset({*names, "*"})
    return frozenset({*names, listened.strip("[]")})


def _base(call: Invocation) -> str:
    """``/crawls/`` → ``/crawls``; ``/`` → nothing."""
    path: str = call.arguments.base_path
    if not path.startswith("/") or any(char in path for char in '?#"<>\\ ') or "//" in path:
        call.usage_error("--base-path is a path, such as /crawls/")
    return path.rstrip("/")


def _say(call: Invocation, board: Board, host: str, port: int) -> None:
    """Print the address, as Jupyter does."""
    from urllib.parse import quote

    shown = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host
    named = f"[{shown}]" if ":" in shown else shown
    path = "/metrics" if board.metrics_only else "/"
    url = f"http://{named}:{port}{board.base}{path}"
    print(f"The dashboard of {board.open_reports().location} is at")
    if board.metrics_only:
        print(f"    {url}\nwith the header  Authorization: Bearer {board.token}")
    else:
        print(f"    {url}?token={quote(board.token, safe='')}")
    print("Ctrl-C ends it; crawls are not touched by that.")
    sys.stdout.flush()
    if shown not in ("127.0.0.1", "::1", "localhost") or host in ("0.0.0.0", "::"):
        call.note(
            "scrapy resume: it can be reached from other machines, by plain HTTP: whoever reads"
            " along gets the token. Put a proxy with TLS before it, or use an SSH tunnel"
        )
