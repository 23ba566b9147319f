"""The innermost downloader middleware sees each answer before any other one works on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from scrapy import Request
from scrapy.http import Response

from scrapy_resume.downloadermiddlewares import ResumeDownloaderMiddleware


def test_an_answer_is_announced_before_other_middlewares_see_it() -> None:
    """Also one that another middleware has given, from a cache: no signal tells of it."""
    calls: list[str] = []
    run: Any = SimpleNamespace(
        hooks=SimpleNamespace(site_answers=lambda request: calls.append("announced")),
        response_received=lambda request, response: calls.append("cookies"),
        tracker=SimpleNamespace(row_of=lambda request: None),
    )
    request, response = Request("http://a.test"), Response("http://a.test")
    assert ResumeDownloaderMiddleware(run).process_response(request, response) is response
    assert calls == ["announced", "cookies"]
