"""What another worker has downloaded comes back as it was."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, JsonResponse, Response

from scrapy_resume.steps.fetch_text import (
    DownloadFailedError,
    error_text,
    response_of,
    response_text,
)

REQUEST = Request("http://shop.example/1")


def again(response: Response) -> Response:
    return response_of(response_text(response), REQUEST)


def test_a_page_is_what_it_was() -> None:
    headers = {"Content-Type": "text/html; charset=cp1252", "Set-Cookie": ["a=1", "b=\xe9"]}
    body = "<p>caf\xe9 €</p>".encode("cp1252")
    page = HtmlResponse(
        "http://shop.example/2",
        status=203,
        headers=headers,
        body=body,
        flags=["cached"],
        protocol="HTTP/1.1",
        ip_address=ip_address("127.0.0.1"),
    )
    found = again(page)
    assert isinstance(found, HtmlResponse)
    assert found.css("p::text").get() == "café €"
    for name in ("url", "status", "headers", "body", "flags", "protocol", "ip_address"):
        assert getattr(found, name) == getattr(page, name)
    assert found.request is REQUEST


def test_bytes_are_what_they_were() -> None:
    headers = {"Content-Type": "image/png"}
    found = again(Response("http://shop.example/a.png", headers=headers, body=bytes(range(256))))
    assert type(found) is Response
    assert found.body == bytes(range(256))


def test_its_class_follows_from_its_headers() -> None:
    headers = {"Content-Type": "application/json"}
    found = again(JsonResponse("http://shop.example/api", headers=headers, body=b'{"a": 1}'))
    assert found.json() == {"a": 1}


@pytest.mark.parametrize("error", [IgnoreRequest("robots.txt"), TimeoutError("30 s"), OSError("x")])
def test_an_error_is_raised_as_what_it_was(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        response_of(error_text(error), REQUEST)


class OwnError(Exception):
    def __init__(self, code: int, host: str) -> None:
        super().__init__(f"{code} from {host}")


def test_an_error_that_cannot_be_made_here_has_its_name() -> None:
    with pytest.raises(DownloadFailedError, match="7 from shop") as raised:
        response_of(error_text(OwnError(7, "shop")), REQUEST)
    assert type(raised.value).__name__ == "OwnError"


def test_an_error_that_takes_something_else_has_its_name_too() -> None:
    error = UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")
    with pytest.raises(DownloadFailedError, match="bad") as raised:
        response_of(error_text(error), REQUEST)
    assert type(raised.value).__name__ == "UnicodeDecodeError"
