"""The spider of what is drawn from a seed; see ``kinds.drawn``."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy import FormRequest, Request
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import JsonRequest, Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from kinds.base import KindSpider
from kinds.drawn import drawn
from kinds.drawnpages import HOSTS, JOB, Ask, Page, Step, number_of, odd_value
from kinds.drawnparts import ALIAS, rest


class DrawnSpider(KindSpider):
    """Does on each page what is drawn for it; ``-a seed=17``."""

    name = JOB
    seed = "0"
    custom_settings = {
        "DOWNLOADER_MIDDLEWARES": {
            "kinds.drawnparts.DrawnDownloads": 560,
            "kinds.drawnparts.Slowly": 750,
        },
        "SPIDER_MIDDLEWARES": {"kinds.drawnparts.DrawnSpiderMiddleware": 600},
        "ITEM_PIPELINES": {"kinds.drawnparts.DrawnPipeline": 300},
        "EXTENSIONS": {
            "kinds.extensions.ItemRecorder": 500,
            "kinds.drawnparts.DrawnSignals": 600,
        },
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.world = drawn(int(self.seed))
        if self.world.has("offsite"):
            self.allowed_domains = list(HOSTS)

    def page_at(self, url: str) -> Page:
        return self.world.pages[number_of(url)]

    # ---- requests

    def request(self, ask: Ask) -> Request:
        page = self.world.pages[ask.target]
        url = page.url(urlsplit(str(self.settings["SITE"])).port or 0)
        if ask.alias:
            url += ("&" if "?" in url else "?") + ALIAS
        options: dict[str, Any] = {
            "callback": self.callback(ask.form),
            "errback": self.errback(ask.errback),
            "dont_filter": ask.unfiltered,
            "priority": ask.priority,
            "meta": self.meta(ask, page),
        }
        if ask.odd:
            options["cb_kwargs"] = {"number": page.number, "odd": odd_value(page.number)}
        fields = {"number": str(page.number)}
        if page.http == "form":
            return FormRequest(url, formdata=fields, **options)
        if page.http == "json":
            return JsonRequest(url, data=fields, **options)
        if page.http == "raw":
            return Request(url, method="POST", body=f"raw {page.number}", **options)
        return Request(url, **options)

    def meta(self, ask: Ask, page: Page) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        if page.jar is not None:
            meta["cookiejar"] = page.jar
        if ask.odd:
            meta |= {"number": page.number, "odd": odd_value(page.number)}
        if ask.form == "lock":
            meta["lock"] = threading.Lock()
        if ask.unit:
            meta["resume_unit"] = ask.unit
        if self.world.has("hosts") and page.number % 7 == 0:
            meta["download_slot"] = "own"
        if "every" in page.query:
            meta["resume_every_run"] = True
        return meta

    def callback(self, form: str) -> Any:
        forms = {
            "generator": self.as_generator,
            "list": self.as_list,
            "coroutine": self.as_coroutine,
            "async": self.as_async,
            "lambda": lambda response, **kwargs: self.as_generator(response, **kwargs),
            "async lambda": lambda response, **kwargs: self.as_async(response, **kwargs),
            "lock": self.as_generator,
        }
        return forms[form]

    def errback(self, name: str) -> Any:
        if name == "lambda":
            return lambda failure: self.failed(failure)
        return getattr(self, name) if name else None

    # ---- callbacks

    async def start(self) -> AsyncIterator[Any]:
        for step in self.world.start_steps:
            if step[0] == "rest":
                await rest(step[1])
            elif step[0] == "ask":
                yield self.request(step[1])
            else:
                yield {"start": step[1], "fate": step[2], "target": step[3]}

    def as_generator(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for step in self.steps(response, kwargs):
            if step[0] not in {"rest", "inner"}:
                yield self.given(step, response)

    def as_list(self, response: Response, **kwargs: Any) -> list[Any]:
        return list(self.as_generator(response, **kwargs))

    async def as_coroutine(self, response: Response, **kwargs: Any) -> list[Any]:
        await rest(0)
        return self.as_list(response, **kwargs)

    async def as_async(self, response: Response, **kwargs: Any) -> AsyncIterator[Any]:
        for step in self.steps(response, kwargs):
            if step[0] == "rest":
                await rest(step[1])
            elif step[0] == "inner":
                assert self.crawler.engine is not None
                request = Request(response.urljoin(f"/made/{step[1]}?inner=1"))
                inner = await self.crawler.engine.download_async(request)
                yield self.item(inner, "inner")
            else:
                yield self.given(step, response)

    def steps(self, response: Response, kwargs: dict[str, Any]) -> Iterator[Step]:
        for values in (kwargs, response.meta):
            if "odd" in values and values["odd"] != odd_value(values["number"]):
                yield ("wrong", repr(values))
        for step in self.page_at(response.url).steps:
            if step[0] == "again":
                if response.meta.get("retry_times", 0) == 0 and self.world.retries:
                    yield ("item", "before", "", -1)
                    yield step
                    return
            else:
                yield step

    def given(self, step: Step, response: Response) -> Any:
        what, *how = step
        if what == "ask":
            return self.request(how[0])
        if what == "item":
            number, fate, target = how
            return self.item(response, number, fate=fate, target=target)
        if what == "raise":
            raise ValueError("as it was drawn")
        if what == "again":
            assert response.request is not None
            return get_retry_request(response.request, spider=self, reason="again")
        return {"wrong": how, "fate": "", "target": -1}

    def item(self, response: Response, item: Any, **more: Any) -> dict[str, Any]:
        title = response.css("title::text").get()
        fate = {"fate": "", "target": -1, **more}
        return {"page": number_of(response.url), "item": item, "title": title, **fate}

    # ---- errbacks

    def failed(self, failure: Failure) -> Iterator[Any]:
        request: Request = failure.request  # type: ignore[attr-defined]
        page = self.page_at(request.url)
        error: Any = failure.value
        if isinstance(error, IgnoreRequest) and not isinstance(error, HttpError):
            why: Any = "ignored"
        else:
            why = error.response.status if isinstance(error, HttpError) else type(error).__name__
        for what, *how in page.after_failure:
            if what == "ask":
                yield self.request(how[0])
            else:
                yield {"failed": page.number, "why": why, "fate": "", "target": -1}

    async def failed_async(self, failure: Failure) -> AsyncIterator[Any]:
        for output in self.failed(failure):
            await rest(0)
            yield output
