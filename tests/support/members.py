"""A site with a login whose sessions end when the test says so, and a spider for it."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

MEMBERS = 20

SPIDER = '''\
"""The recipe of docs/between-runs.md."""

from scrapy import FormRequest, Request, Spider


class MembersSpider(Spider):
    name = "members"

    async def start(self):
        yield Request(f"{self.home}/login", self.log_in, meta={"resume_every_run": True})

    def log_in(self, response):
        if not response.css("form"):  # the session of the run before is good still
            return self.logged_in(response)
        form = {"user": "me", "password": "secret"}
        return [FormRequest.from_response(response, formdata=form, callback=self.logged_in)]

    def logged_in(self, response):
        for href in response.css("a::attr(href)").getall():
            yield response.follow(href, self.parse_member)

    def parse_member(self, response):
        yield {"title": response.css("title::text").get()}
'''


class Members(ThreadingHTTPServer):
    """Without a session there is a form with a token that is good once, and nothing else."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.tokens: set[str] = set()
        self.sessions: set[str] = set()
        self.asked: Counter[str] = Counter()
        """By method and path, and ``refused``."""
        self.redirects = True
        """A login answers with a redirect to the account, and not with its page."""

    @property
    def pages(self) -> int:
        """Members that were asked for."""
        return sum(n for asked, n in self.asked.items() if asked.startswith("GET /member/"))

    @property
    def whole(self) -> Counter[str]:
        return Counter(f"Member {number}" for number in range(MEMBERS))


class _Answering(BaseHTTPRequestHandler):
    server: Members

    def do_GET(self) -> None:
        self.server.asked[f"GET {self.path}"] += 1
        session = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        known = session is not None and session.value in self.server.sessions
        if self.path == "/login" and not known:
            token = secrets.token_hex(8)
            self.server.tokens.add(token)
            form = f'<input name="token" value="{token}"><input name="user"><input name="password">'
            return self._answer(f'<title>Login</title><form method="post">{form}</form>')
        if not known:
            self.server.asked["refused"] += 1
            return self._answer("<title>Log in first</title>", 403)
        if self.path == "/login" and self.server.redirects:
            return self._answer("", 302, Location="/account")
        if self.path in {"/account", "/login"}:
            return self._account()
        return self._answer(f"<title>Member {self.path.rpartition('/')[2]}</title>")

    def do_POST(self) -> None:
        self.server.asked[f"POST {self.path}"] += 1
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        token = form["token"][0]
        if token not in self.server.tokens or form["password"] != ["secret"]:
            self.server.asked["refused"] += 1
            return self._answer("<title>No</title>", 403)
        self.server.tokens.discard(token)
        session = secrets.token_hex(8)
        self.server.sessions.add(session)
        cookie = f"session={session}; Path=/"
        if self.server.redirects:
            return self._answer("", 302, Location="/account", Set_Cookie=cookie)
        return self._account(Set_Cookie=cookie)

    def _account(self, **headers: str) -> None:
        links = "".join(f'<a href="/member/{number}">m</a>' for number in range(MEMBERS))
        self._answer(f"<title>Account</title>{links}", **headers)

    def _answer(self, text: str, status: int = 200, **headers: str) -> None:
        body = f"<html>{text}</html>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""


@contextmanager
def serving_members() -> Iterator[Members]:
    with Members() as members:
        thread = threading.Thread(target=members.serve_forever, daemon=True)
        thread.start()
        try:
            yield members
        finally:
            members.shutdown()
            thread.join()
