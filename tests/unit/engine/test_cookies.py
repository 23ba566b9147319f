"""Cookies come back as they were, jar by jar, and are written only when they changed."""

from __future__ import annotations

import logging
from enum import Enum
from http.cookiejar import Cookie
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.http import Response

from scrapy_resume.codec import Codec
from scrapy_resume.engine.cookies import Cookies

URL = "https://shop.test/account/orders"
FAR_OFF = 4_102_444_800


class Country(Enum):
    france = "fr"


class Crawl:
    """The cookies of one process."""

    def __init__(self, kept: dict[str, str] | None = None) -> None:
        self.middleware = CookiesMiddleware()
        middlewares = SimpleNamespace(middlewares=[object(), self.middleware])
        self.cookies = Cookies(Codec())
        self.cookies.attach(
            SimpleNamespace(downloader=SimpleNamespace(middleware=middlewares)),  # type: ignore[arg-type]
            kept or {},
        )

    def is_sent(self, *lines: str, jar: Any = None, url: str = URL) -> None:
        """The site answers with these ``Set-Cookie`` lines."""
        response = Response(url, headers={"Set-Cookie": [line.encode() for line in lines]})
        self.middleware.jars[jar].extract_cookies(response, Request(url))
        self.cookies.mark_changed(jar)

    def sends(self, jar: Any = None, url: str = URL) -> str | None:
        """The ``Cookie`` line of the next request."""
        request = Request(url)
        self.middleware.jars[jar].add_cookie_header(request)
        line = request.headers.get("Cookie")
        return None if line is None else line.decode()

    def all(self, jar: Any = None) -> list[dict[str, Any]]:
        return sorted((vars(cookie) for cookie in self.middleware.jars[jar]), key=str)


def resumed(crawl: Crawl) -> Crawl:
    return Crawl(crawl.cookies.take_changes())


@pytest.mark.parametrize(
    "line",
    [
        "session=abc",
        "session=abc; Path=/account",
        "session=abc; Domain=.shop.test; Path=/",
        "session=abc; Expires=Fri, 01 Jan 2100 00:00:00 GMT; Secure",
        "session=abc; Max-Age=4000; HttpOnly; SameSite=Lax",
        'session="quoted, with = inside"; Comment=why; Discard',
        "session=; Path=/account/orders",
        "session",
        "größe=käse",
    ],
)
def test_a_cookie_comes_back_with_all_that_it_has(line: str) -> None:
    before = Crawl()
    before.is_sent(line)
    assert before.all()
    after = resumed(before)
    assert after.all() == before.all()
    assert after.sends() == before.sends()


def test_a_cookie_is_sent_where_it_was_before_and_nowhere_else() -> None:
    before = Crawl()
    before.is_sent("a=1; Path=/account", "b=2; Domain=shop.test", "c=3; Secure; Path=/")
    after = resumed(before)
    urls = [URL, "https://shop.test/", "https://www.shop.test/", "http://shop.test/", "http://x.y/"]
    assert [after.sends(url=url) for url in urls] == [before.sends(url=url) for url in urls]
    assert after.sends(url="http://x.y/") is None


def test_a_session_cookie_and_one_that_expires_come_back_as_such() -> None:
    before = Crawl()
    before.is_sent("short=1", "long=2; Expires=Fri, 01 Jan 2100 00:00:00 GMT")
    found = {cookie["name"]: cookie for cookie in resumed(before).all()}
    assert (found["short"]["expires"], found["short"]["discard"]) == (None, True)
    assert (found["long"]["expires"], found["long"]["discard"]) == (FAR_OFF, False)


@pytest.mark.parametrize(
    "jar", [None, "ann", 0, 7, -1.5, True, ("ann", 2), frozenset({1}), b"\xff", Country.france]
)
def test_a_jar_is_found_again_by_its_key(jar: Any) -> None:
    before = Crawl()
    before.is_sent("session=abc", jar=jar)
    after = resumed(before)
    assert list(after.middleware.jars) == [jar]
    assert after.sends(jar) == "session=abc"


def test_jars_stay_apart() -> None:
    before = Crawl()
    for user in ("ann", "ben", "1", 1):
        before.is_sent(f"session={user!r}", jar=user)
    after = resumed(before)
    assert [after.sends(user) for user in ("ann", "ben", "1", 1, None)] == [
        "session='ann'",
        "session='ben'",
        "session='1'",
        "session=1",
        None,
    ]


def test_only_jars_that_changed_are_taken_and_once() -> None:
    crawl = Crawl()
    crawl.is_sent("session=abc", jar="ann")
    crawl.is_sent("session=def", jar="ben")
    assert len(crawl.cookies.take_changes()) == 2
    assert crawl.cookies.take_changes() == {}
    crawl.is_sent("session=ghi", jar="ben")
    (taken,) = crawl.cookies.take_changes().values()
    assert "ghi" in taken


def test_a_jar_that_was_sent_what_it_had_is_not_taken() -> None:
    before = Crawl()
    before.is_sent("session=abc")
    after = resumed(before)
    after.is_sent("session=abc")
    assert after.cookies.take_changes() == {}


def test_a_cookie_that_the_site_took_back_stays_gone() -> None:
    first = Crawl()
    first.is_sent("session=abc", "lang=fr")
    second = resumed(first)
    second.is_sent("session=; Max-Age=0")
    assert resumed(second).sends() == "lang=fr"


def test_a_jar_whose_key_cannot_be_serialized_is_logged_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crawl = Crawl()
    crawl.is_sent("session=abc", jar=object())
    crawl.is_sent("session=def", jar="ben")
    with caplog.at_level(logging.ERROR, "scrapy_resume"):
        assert len(crawl.cookies.take_changes()) == 1
    (record,) = caplog.records
    assert "cookiejar" in record.getMessage()
    assert "Use a string or a number" in record.getMessage()


def test_without_the_cookies_middleware_what_was_kept_is_left_alone() -> None:
    cookies = Cookies(Codec())
    engine: Any = SimpleNamespace(
        downloader=SimpleNamespace(middleware=SimpleNamespace(middlewares=[]))
    )
    cookies.attach(engine, {"no": "matter"})
    cookies.mark_changed(None)
    assert cookies.take_changes() == {}


def test_a_cookie_that_a_spider_has_put_there_itself_comes_back() -> None:
    crawl = Crawl()
    crawl.middleware.jars["own"].set_cookie(
        Cookie(
            version=0,
            name="token",
            value=None,
            port=None,
            port_specified=False,
            domain="shop.test",
            domain_specified=False,
            domain_initial_dot=False,
            path="/",
            path_specified=True,
            secure=False,
            expires=FAR_OFF,
            discard=False,
            comment=None,
            comment_url=None,
            rest={"HttpOnly": None, "SameSite": "Strict"},
        )
    )
    crawl.cookies.mark_changed("own")
    (cookie,) = resumed(crawl).all("own")
    assert (cookie["name"], cookie["value"], cookie["expires"]) == ("token", None, FAR_OFF)
    assert cookie["_rest"] == {"HttpOnly": None, "SameSite": "Strict"}
