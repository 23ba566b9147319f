"""Requests of other classes, methods and bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import FormRequest, Request
from scrapy.http import JsonRequest, Response, TextResponse

from kinds.base import KindSpider, page_item
from kinds.requests import LabelledRequest


class FormSpider(KindSpider):
    """``FormRequest`` and ``JsonRequest``: one URL, told apart by method and body."""

    name = "forms"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(12):
            fields = {"number": str(number), "word": "grün"}
            yield FormRequest(self.url("/form"), formdata=fields)
            yield JsonRequest(self.url("/json"), data={"number": number})
            yield FormRequest(self.url("/form"), formdata=fields, method="GET")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        assert isinstance(response, TextResponse)
        heard = json.loads(response.text)
        yield heard
        if "again" not in heard["body"] and heard["method"] == "POST":
            yield JsonRequest(self.url("/json"), data={"again": heard["body"]})


class HeaderSpider(KindSpider):
    """Headers, cookies, encodings, flags and methods of a request."""

    name = "headers"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(15):
            yield Request(
                self.url(f"/json?number={number}"),
                method=("PUT", "POST", "DELETE")[number % 3],
                headers={"X-Kind": [f"kind {number}"]},
                body=f"grün {number}",
                cookies={"number": str(number)},
                encoding=("utf-8", "latin-1")[number % 2],
                flags=[f"flag {number}"],
                meta={"dont_merge_cookies": False, "cookiejar": number},
            )

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        assert isinstance(response, TextResponse)
        assert response.request is not None
        yield {**json.loads(response.text), "flags": response.request.flags}
        if response.request.method != "DELETE":
            yield response.request.replace(method="DELETE")


class SubclassSpider(KindSpider):
    """A Request class of the user's own, with an attribute of its own."""

    name = "subclasses"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(20):
            yield LabelledRequest(self.url(f"/leaf/{number}"), label=f"label {number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        assert isinstance(response.request, LabelledRequest)
        label = response.request.label
        yield {**page_item(response), "label": label}
        if "on" not in label:
            yield LabelledRequest(f"{response.url}-on", label=f"{label} on")
