"""The content of the local site: every page is a function of its URL.

The page graph is a ternary tree of a given size with cross links and repeated links,
so that every page is linked more than once and all of them hang together.
"""

from __future__ import annotations

import gzip
import json
import struct
import time
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.sax.saxutils import escape

HTML = "text/html; charset=utf-8"
XML = "application/xml"
FEED_ROWS = 30
"""Rows of ``/feed.xml`` and ``/feed.csv``."""


@dataclass(frozen=True)
class Query:
    """One request to the site, as far as pages depend on it."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked_before: int = 0
    """How often the site was asked for this target before, since ``begin``."""
    stage: int = 1
    """How far the shop has come; see ``Site.begin``."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def argument(self, name: str, default: str) -> str:
        return parse_qs(urlsplit(self.target).query).get(name, [default])[0]

    @property
    def session(self) -> str | None:
        """The user in the ``session`` cookie, ``None`` without one."""
        for part in self.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "session":
                return value
        return None


@dataclass(frozen=True)
class Answer:
    """What the site sends back; ``dropped`` closes the connection without a word."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()
    delay_seconds: float = 0.0
    dropped: bool = False


def children_of(number: int, pages: int) -> list[int]:
    """The tree's children of a page; empty for a leaf."""
    first = 3 * number + 1
    return [child for child in range(first, first + 3) if child < pages]


def links_of(number: int, pages: int) -> list[int]:
    """All links of a page in their order: children, two cross links, one repeated."""
    links = children_of(number, pages)
    links += [(number * 7 + 3) % pages, number // 2]
    return [*links, links[0]]


@lru_cache(maxsize=4096)
def page(number: int, pages: int) -> bytes:
    anchors = "".join(
        f'<li><a href="/page/{link}">Page {link}</a></li>' for link in links_of(number, pages)
    )
    return html(f"Page {number}", f'<ul>{anchors}</ul><img src="/image/{number}.png">')


def html(title: str, body: str = "", head: str = "") -> bytes:
    text = (
        f"<!doctype html><html><head><title>{escape(title)}</title>{head}</head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return text.encode()


@lru_cache(maxsize=256)
def image(number: int) -> bytes:
    """A PNG of 60 x 60 pixels in a colour that depends on the number."""
    colour = bytes(((number * 37) % 256, (number * 91) % 256, 128))
    rows = b"".join(b"\0" + colour * 60 for _ in range(60))

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 60, 60, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def login(query: Query) -> Answer:
    """GET gives a form, POST (or GET with ``user``) sets the session's cookie."""
    user = dict(parse_qsl(query.body.decode())).get("user") or query.argument("user", "")
    if not user:
        form = (
            '<form method="post" action="/login">'
            '<input type="hidden" name="token" value="t0k3n"><input name="user"></form>'
        )
        return Answer(html("Login", form))
    cookie = ("Set-Cookie", f"session={user}; Path=/")
    return Answer(html(f"Welcome {user}"), headers=(cookie,))


def private(query: Query, name: str) -> Answer:
    if query.session is None:
        return Answer(html("Forbidden"), status=403)
    return Answer(html(f"Private {name} of {query.session}"))


def echo(query: Query) -> Answer:
    content_type = query.headers.get("content-type", "")
    is_form = content_type.startswith("application/x-www-form-urlencoded")
    text = query.body.decode("utf-8", "replace")
    heard = {
        "method": query.method,
        "target": query.target,
        "content_type": content_type,
        "cookie": query.headers.get("cookie", ""),
        "x_kind": query.headers.get("x-kind", ""),
        "form": sorted(parse_qsl(text)) if is_form else [],
        "body": text,
    }
    return Answer(json.dumps(heard, sort_keys=True).encode(), content_type="application/json")


def sitemap(query: Query, pages: int) -> Answer:
    """An index, which names one plain and one gzipped map; each has half of the pages."""
    origin = f"http://{query.headers.get('host', '')}"
    if query.path == "/sitemap.xml":
        entries = [f"{origin}/sitemap-0.xml", f"{origin}/sitemap-1.xml.gz"]
        body = "".join(f"<sitemap><loc>{entry}</loc></sitemap>" for entry in entries)
        return Answer(xml("sitemapindex", body), content_type=XML)
    half = 1 if query.path.endswith(".gz") else 0
    body = "".join(
        f"<url><loc>{origin}/page/{number}</loc></url>" for number in range(half, pages, 2)
    )
    content = xml("urlset", body)
    if half:
        return Answer(gzip.compress(content, mtime=0), content_type="application/gzip")
    return Answer(content, content_type=XML)


def xml(root: str, body: str) -> bytes:
    space = ' xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"' if root != "rows" else ""
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}{space}>{body}</{root}>'.encode()


def feed(path: str) -> Answer:
    rows = range(FEED_ROWS)
    if path.endswith(".csv"):
        lines = ["id,name,link", *(f"{n},Row {n},/page/{n}" for n in rows)]
        return Answer("\n".join(lines).encode(), content_type="text/csv")
    body = "".join(f'<row id="{n}"><name>Row {n}</name><link>/page/{n}</link></row>' for n in rows)
    return Answer(xml("rows", body), content_type=XML)


def robots(query: Query) -> Answer:
    origin = f"http://{query.headers.get('host', '')}"
    text = f"User-agent: *\nDisallow: /secret/\nSitemap: {origin}/sitemap.xml\n"
    return Answer(text.encode(), content_type="text/plain")


def retry_after(text: str) -> str:
    """What the header says: seconds, or with ``date:`` before them, the moment in words."""
    in_words = text.startswith("date:")
    return formatdate(time.time() + float(text[5:]), usegmt=True) if in_words else text


def listing(number: int, stage: int) -> bytes:
    """A page of a shop that changes: with each stage a listing comes, and in each listing one
    product goes and one comes."""
    products = range(10 * number + stage - 1, 10 * number + stage + 7)
    links = [f"/product/{product}" for product in products]
    if number < stage + 1:
        links.append(f"/listing/{number + 1}")
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return html(f"Listing {number}", f"<ul>{anchors}</ul>")


def leaf(kind: str, name: str) -> Answer:
    return Answer(html(f"{kind} {name}"))


def made(query: Query, name: str) -> Answer:
    """A page of which the query says what it does.

    The first ``times`` askings are answered by ``fail`` (a status; 0: the connection is dropped),
    with ``Retry-After: after`` if that is given. Then ``to`` redirects, by status ``code`` or by
    meta refresh; without it the page has the status ``status``, at least ``bytes`` bytes and, in
    its title, what it was sent. ``seconds`` is how long an answer takes.
    """
    seconds = float(query.argument("seconds", "0"))
    if query.asked_before < int(query.argument("times", "0")):
        fail = int(query.argument("fail", "503"))
        after = query.argument("after", "")
        headers = (("Retry-After", retry_after(after)),) if after else ()
        if not fail:
            return Answer(b"", dropped=True, delay_seconds=seconds)
        return Answer(html("Not now"), fail, headers=headers, delay_seconds=seconds)
    to, code = query.argument("to", ""), query.argument("code", "302")
    if to and code == "refresh":
        head = f'<meta http-equiv="refresh" content="0; url={escape(to)}">'
        return Answer(html(f"Refresh {name}", head=head), delay_seconds=seconds)
    if to:
        return Answer(b"", int(code), headers=(("Location", to),), delay_seconds=seconds)
    status = int(query.argument("status", "200"))
    padding = "x" * int(query.argument("bytes", "0"))
    title = f"Made {name} {query.method} {query.body.decode()}"
    return Answer(html(title, padding), status, delay_seconds=seconds)


def numbered(query: Query, kind: str, name: str, pages: int) -> Answer | None:
    """The pages whose path is ``/<kind>/<name>``; ``None`` where there is no such kind."""
    number = int("".join(c for c in name if c.isdigit()) or 0)
    times = int(query.argument("times", "2"))
    if kind == "page":
        return Answer(page(number, pages))
    if kind == "listing":
        return Answer(listing(number, query.stage))
    if kind == "loop":
        head, _, turn = name.partition("-")
        on = name if turn == "self" else head if turn else f"{head}-on"
        return Answer(b"", status=302, headers=(("Location", f"/loop/{on}"),))
    if kind == "made":
        return made(query, name)
    if kind == "flaky":
        tired = query.asked_before < times
        return Answer(html("Try again"), status=503) if tired else Answer(html(f"Flaky {name}"))
    if kind == "limited":
        wait = ("Retry-After", retry_after(query.argument("after", "2")))
        status = int(query.argument("status", "429"))
        tired = query.asked_before < times
        return Answer(html("Slow down"), status, headers=(wait,)) if tired else leaf(kind, name)
    if kind == "drop":
        return Answer(html(f"Drop {name}"), dropped=query.asked_before < times)
    if kind == "redirect":
        hops = int(query.argument("hops", "1"))
        on = f"/redirect/{name}?hops={hops - 1}" if hops > 1 else f"/page/{name}"
        return Answer(b"", status=302, headers=(("Location", on),))
    if kind == "metarefresh":
        refresh = f'<meta http-equiv="refresh" content="0; url=/page/{name}">'
        return Answer(html(f"Refresh {name}", head=refresh))
    if kind == "slow":
        return Answer(html(f"Slow {name}"), delay_seconds=float(query.argument("seconds", "1")))
    if kind == "private":
        return private(query, name)
    if kind == "image":
        return Answer(image(number), content_type="image/png")
    if kind == "file":
        content = f"file {number} ".encode() * 200
        return Answer(content, content_type="application/octet-stream")
    status = {
        "missing": 404,
        "error": 500,
        "gone": 410,
        "secret": 200,
        "leaf": 200,
        "product": 200,
    }.get(kind)
    return None if status is None else Answer(html(f"{kind} {name}"), status=status)


def answer(query: Query, pages: int) -> Answer:
    """The site's answer to a query, for a site of that many pages."""
    path = query.path
    if path == "/login":
        return login(query)
    if path in {"/form", "/json"}:
        return echo(query)
    if path == "/robots.txt":
        return robots(query)
    if path.startswith("/sitemap"):
        return sitemap(query, pages)
    if path in {"/feed.xml", "/feed.csv"}:
        return feed(path)
    parts = path.strip("/").split("/")
    found = numbered(query, parts[0], parts[1], pages) if len(parts) == 2 else None
    if path == "/":
        found = Answer(page(0, pages))
    return found or Answer(html("No such page"), status=404)
