"""Who may ask: Host, token, Origin. Everything comes in through ``Guard``.

- ``Host`` has to be a name of this machine that was allowed: a page of another site whose name is
  made to lead here (DNS rebinding) still sends its own.
- The token is in ``Authorization: Bearer``, or was swapped for a cookie by ``?token=``.
- What changes something is a POST from this origin with the header ``X-Scrapy-Resume``, which
  neither a form nor a script of another origin can send.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scrapy_resume.web.board import Board

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every response."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS: Final = "*"
OPEN_PATHS: Final = frozenset({"/healthz"})
"""Answered without a token; so is what is below ``/static``."""
METHODS: Final = frozenset({"GET", "HEAD", "POST"})
MARK: Final = "x-scrapy-resume"
COOKIE_SECONDS: Final = 30 * 86_400


class Guard:
    """Lets through to an application what may be asked; ``login`` answers the rest of people."""

    def __init__(self, app: ASGIApp, board: Board, login: ASGIApp) -> None:
        self._app = app
        self._board = board
        self._login = login
        self._secret = _cookie_of(board.token)
        # Cookies do not know ports: two dashboards of a machine must not log each other out.
        self._cookie = f"scrapy-resume-{self._secret[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a web socket: there are none
        answer = self._answer(scope)
        await answer(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return _refusal(
                421,
                "this Host is not served here. Of a name other than localhost, start it with"
                " --allow-host NAME",
            )
        if scope["method"] not in METHODS:
            return _refusal(405, "only GET and POST are known here")
        scope["path"] = path = self._own_path(scope["path"])
        scope["root_path"] = ""
        if path in OPEN_PATHS or path.startswith("/static/"):
            return self._app
        given = self._token_of(scope)
        if given is not None and scope["method"] == "GET":
            return self._swapped(scope, path) if self._is_token(given) else self._login
        if not self._is_known(headers):
            wants_page = "text/html" in headers.get("accept", "") and scope["method"] == "GET"
            if wants_page and not path.startswith(("/api/", "/metrics")):
                return self._login
            return _refusal(401, "the token is missing or wrong", (("WWW-Authenticate", "Bearer"),))
        if scope["method"] == "POST" and (why := self._why_forged(headers, hosts[0])):
            return _refusal(403, why)
        return self._app

    def _is_own(self, host: str) -> bool:
        name = _host_name(host)
        if name in LOOPBACK or name in self._board.hosts:
            return True
        return ANY_ADDRESS in self._board.hosts and _is_address(name)

    def _own_path(self, path: str) -> str:
        """The path without the base, whether a proxy has taken it off or not."""
        base = self._board.base
        if base and (path == base or path.startswith(f"{base}/")):
            return path[len(base) :] or "/"
        return path

    def _token_of(self, scope: Scope) -> str | None:
        query: str = scope["query_string"].decode("latin-1")
        return next((value for name, value in parse_qsl(query) if name == "token"), None)

    def _is_token(self, given: str) -> bool:
        return _equal(given, self._board.token)

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(given.strip())
        try:
            cookie = SimpleCookie("; ".join(headers.getlist("cookie"))).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value, self._secret)

    def _why_forged(self, headers: Headers, host: str) -> str | None:
        if not headers.get(MARK):
            return "a POST needs the header X-Scrapy-Resume, with any value"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "this Origin may not change anything here"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "another site may not change anything here"
        return None

    def _swapped(self, scope: Scope, path: str) -> ASGIApp:
        """The same page without the token in its URL, which now is in a cookie."""
        rest = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = urlencode([(name, value) for name, value in rest if name != "token"])
        # Never to where the path itself says: "//evil.example" would be another site.
        target = f"{self._board.base}/{path.lstrip('/')}" + (f"?{query}" if query else "")
        response = RedirectResponse(target, 303)
        response.set_cookie(
            self._cookie,
            self._secret,
            max_age=COOKIE_SECONDS,
            path=self._board.base or "/",
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return response


def _cookie_of(token: str) -> str:
    """What the cookie says in place of the token: whoever reads it cannot log in elsewhere."""
    return hmac.new(token.encode(), b"scrapy-resume web cookie", hashlib.sha256).hexdigest()


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _host_name(host: str) -> str:
    """The name in a Host header, in lower case, without a port; empty for what is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.netloc != host or "@" in host or parts.path or parts.query or parts.fragment:
        return ""
    return (parts.hostname or "").rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(status: int, why: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    return Response(
        json.dumps({"error": why}), status, dict(headers), media_type="application/json"
    )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return sending
