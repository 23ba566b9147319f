"""Versions of a spider that differ as people make them differ, drawn from a seed.

What the spider gives is the same in all versions, but for its start list: names, places, orders,
arguments, settings and feeds are what changes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

METHODS = ("page", "odd", "city", "detail", "failed")
CLASSES = ("Page", "Link", "Mood", "Pair", "Tag", "Model")
"""An item class, a dataclass, an enum, a named tuple, an attrs class and a pydantic model."""
FUNCTIONS = ("label",)
TOLD_APART = ("cb_kwargs", "meta", "cookiejar", "key", "value", "nested", "ordinary")
CITIES = 16
PAGES = 24
SETTINGS: dict[str, tuple[Any, ...]] = {
    "CONCURRENT_REQUESTS": (1, 2, 8, 16),
    "CONCURRENT_REQUESTS_PER_DOMAIN": (1, 4, 8),
    "DOWNLOAD_DELAY": (0, 0.005),
    "RETRY_TIMES": (1, 2),
    "DEPTH_PRIORITY": (0, 1),
    "RESUME_COMMIT_INTERVAL": (0.01, 0.1),
    "RESUME_RETRY_DELAY": (0, 0.05),
    "ROBOTSTXT_OBEY": (False, True),
    "COOKIES_ENABLED": (True, False),
}


@dataclass(frozen=True)
class World:
    """What stays: the same in all versions."""

    rules: bool
    """It is a ``CrawlSpider``."""
    told_apart: str
    """By what the start requests for one URL are."""
    every_order: bool
    """The start list comes in another order in each process, as a set does."""
    has_lambda: bool
    has_object: bool
    """The spider is given an object as an argument."""
    start_item: bool


@dataclass(frozen=True)
class Version:
    """The code, the arguments, the settings and the feeds of one run."""

    number: int
    names: Mapping[str, str]
    """What methods and functions (``METHODS``, ``FUNCTIONS``) and classes are called."""
    models: str
    """The module of the classes and functions."""
    rules: tuple[str, ...] = ("even", "odd")
    cities: tuple[int, ...] = tuple(range(CITIES // 2))
    page_first: bool = False
    token: str = "AAA"
    settings: Mapping[str, Any] = field(default_factory=dict)
    feeds: tuple[str, ...] = ("out.jsonl",)
    added_field: bool = False
    mapped: bool = True
    """RESUME_RENAMED has the names of earlier versions."""

    def path(self, name: str) -> str:
        """As in RESUME_RENAMED."""
        return self.names[name] if name in METHODS else f"shop.{self.models}.{self.names[name]}"


def renamed(versions: list[Version]) -> dict[str, str]:
    """RESUME_RENAMED for the last version: the names of all before it, the oldest first."""
    now = versions[-1]
    return {
        before.path(name): now.path(name)
        for before in versions
        for name in (*METHODS, *CLASSES, *FUNCTIONS)
        if before.path(name) != now.path(name)
    }


def first_version(chance: random.Random) -> tuple[World, Version]:
    world = World(
        rules=chance.random() < 0.4,
        told_apart=chance.choice(TOLD_APART),
        every_order=chance.random() < 0.3,
        has_lambda=chance.random() < 0.25,
        has_object=chance.random() < 0.25,
        start_item=chance.random() < 0.3,
    )
    names = {name: name for name in CLASSES}
    names |= {name: f"{name}_0" for name in (*METHODS, *FUNCTIONS)}
    return world, Version(
        number=0,
        names=names,
        models="models",
        page_first=chance.random() < 0.5,
        settings=settings(chance),
        feeds=feeds(chance),
    )


def settings(chance: random.Random) -> dict[str, Any]:
    chosen = chance.sample(sorted(SETTINGS), chance.randint(1, 4))
    return {name: chance.choice(SETTINGS[name]) for name in chosen}


def feeds(chance: random.Random) -> tuple[str, ...]:
    names = [f"{name}.{kind}" for name in ("out", "new") for kind in ("jsonl", "json")]
    return tuple(sorted(chance.sample(names, chance.randint(1, 2))))


def next_version(chance: random.Random, before: Version) -> Version:
    """With some of the changes that people make."""
    changes = [_methods, _models, _rules, _start_list, _start_list, _arguments, _settings, _feeds]
    after = replace(before, number=before.number + 1, mapped=chance.random() < 0.6)
    for change in chance.sample(changes, chance.randint(1, 5)):
        after = change(chance, after)
    return after


def _methods(chance: random.Random, now: Version) -> Version:
    names = dict(now.names)
    for name in chance.sample((*METHODS, *FUNCTIONS), chance.randint(1, 4)):
        names[name] = f"{name}_{now.number}"
    return replace(now, names=names)


def _models(chance: random.Random, now: Version) -> Version:
    names = dict(now.names)
    if chance.random() < 0.5:
        return replace(now, models=f"models_{now.number}", added_field=True)
    for name in chance.sample(CLASSES, chance.randint(1, 3)):
        names[name] = f"{name}{now.number}"
    return replace(now, names=names)


def _rules(chance: random.Random, now: Version) -> Version:
    rules = ["even", "odd"]
    if chance.random() < 0.5:
        rules.append("none")
    chance.shuffle(rules)
    return replace(now, rules=tuple(rules))


def _start_list(chance: random.Random, now: Version) -> Version:
    cities = list(now.cities)
    if chance.random() < 0.6:
        new = [city for city in range(CITIES) if city not in cities]
        count = min(len(new), chance.randint(1, 3))
        cities = chance.sample(new, count) + cities
    if chance.random() < 0.3:
        cities = cities[1:]
    if chance.random() < 0.5:
        chance.shuffle(cities)
    return replace(now, cities=tuple(cities), page_first=chance.random() < 0.5)


def _arguments(chance: random.Random, now: Version) -> Version:
    return replace(now, token=f"token-{now.number}")


def _settings(chance: random.Random, now: Version) -> Version:
    return replace(now, settings=settings(chance))


def _feeds(chance: random.Random, now: Version) -> Version:
    return replace(now, feeds=feeds(chance))


# ---- the code

PROJECT = """
    import os
    BOT_NAME = "shop"
    SPIDER_MODULES = ["shop.spiders"]
    COMMANDS_MODULE = "shop.commands"
    TELNETCONSOLE_ENABLED = False
    ADDONS = {} if os.environ["KINDS_PLAIN"] == "1" else {"scrapy_resume.Addon": 500}
"""

COMMAND = '''
    from scrapy.commands import crawl

    class Command(crawl.Command):
        """A crawl whose spider is given an object, as ``process.crawl(Spider, db=object)``."""

        def run(self, args, opts):
            opts.spargs["db"] = object()
            super().run(args, opts)
'''

MODELS = """
    import enum
    from dataclasses import dataclass
    from typing import NamedTuple

    import attrs
    import pydantic
    import scrapy

    class {Page}(scrapy.Item):
        title = scrapy.Field()
        of = scrapy.Field()
        {added}

    @dataclass
    class {Link}:
        number: int

    class {Mood}(enum.Enum):
        good = "good"
        bad = "bad"

    class {Pair}(NamedTuple):
        left: int
        right: str

    @attrs.define
    class {Tag}:
        text: str

    class {Model}(pydantic.BaseModel):
        size: int

    def {label}(number):
        return f"label {{number}}"
"""

SPIDER = """
    import random
    import time

    from scrapy import Request, Spider
    from scrapy.linkextractors import LinkExtractor
    from scrapy.spiders import CrawlSpider, Rule

    from shop import {models} as models


    class ChangingSpider({base}):
        name = "changing"
        {rules}
        async def start(self):
            requests = [self.request_for(city) for city in {cities}]
            if {every_order}:
                random.Random(time.time_ns()).shuffle(requests)
            page = Request(self.site + "/page/0", {first})
            for request in [page, *requests] if {page_first} else [*requests, page]:
                yield request
            if {start_item}:
                yield {{"title": "of start()"}}

        def request_for(self, city):
            how, url = {told_apart!r}, self.site + "/leaf/1"
            given = {{"callback": self.{city}, "errback": self.{failed}}}
            if how == "ordinary":
                return Request(f"{{url}}00{{city}}", cb_kwargs={{"city": city}}, **given)
            if how == "cb_kwargs":
                given["cb_kwargs"] = {{"city": city}}
            elif how == "meta":
                given["meta"] = {{"of": {{"city": city, "tags": {{city, "x", "y"}}}}, "depth": 0}}
            elif how == "cookiejar":
                given["meta"] = {{"cookiejar": city}}
            elif how == "key":
                given["cb_kwargs"] = {{"city": city, "at": time.time()}}
                given["meta"] = {{"resume_key": f"city {{city}}"}}
            elif how == "value":
                given["cb_kwargs"] = {{"link": models.{Link}(city)}}
            elif how == "nested":
                given["meta"] = {{"all": [(models.{Pair}(city, "x"), models.{Mood}.good)]}}
            return Request(url, dont_filter=True, **given)

        def {city}(self, response, city=None, at=0, link=None):
            meta = response.meta
            if link is not None:
                city = link.number
            elif "of" in meta:
                city = meta["of"]["city"]
            elif "cookiejar" in meta:
                city = meta["cookiejar"]
            elif "all" in meta:
                city = meta["all"][0][0].left
            yield {{"title": "city", "city": city}}
            for number in range(2):
                values = {{
                    "city": city,
                    "link": models.{Link}(number),
                    "more": [models.{Mood}.bad, {{"pair": (models.{Pair}(number, "y"),)}}],
                    "deep": {{"tag": models.{Tag}("t"), "model": models.{Model}(size=3)}},
                    "label": models.{label},
                }}
                callback = self.{detail}
                if {has_lambda} and number:
                    callback = lambda response, **values: self.{detail}(response, **values)
                yield Request(
                    f"{{self.site}}/leaf/{{200 + number}}",
                    callback,
                    dont_filter=True,
                    errback=self.{failed},
                    cb_kwargs=values,
                )
            yield Request(
                f"{{self.site}}/error/{{city}}", self.{detail}, errback=self.{failed},
                meta={{"city": city}},
            )

        def {detail}(self, response, city, link, more, deep, label):
            pair = more[1]["pair"][0]
            text = f"{{more[0].value}} {{pair.left}} {{deep['tag'].text}} {{deep['model'].size}}"
            yield {{"title": label(link.number), "city": city, "of": text}}

        def {failed}(self, failure):
            yield {{"title": "failed", "city": failure.request.meta["city"]}}

        def {page}(self, response):
            yield models.{Page}(title=response.css("title::text").get(), of="even")
            yield from self.links(response)

        def {odd}(self, response):
            yield models.{Page}(title=response.css("title::text").get(), of="odd")
            yield from self.links(response)

        def links(self, response):
            if not isinstance(self, CrawlSpider):
                for href in response.css("li a::attr(href)").getall():
                    odd = int(href.rpartition("/")[2]) % 2
                    yield response.follow(href, self.{odd} if odd else self.{page})
"""

RULES = {
    "even": 'Rule(LinkExtractor(allow=r"/page/\\d*[02468]$"), callback="{page}", follow=True)',
    "odd": 'Rule(LinkExtractor(allow=r"/page/\\d*[13579]$"), callback="{odd}", follow=True)',
    "none": 'Rule(LinkExtractor(allow=r"/none/"), callback="{city}")',
}


def write_project(folder: Path, world: World, now: Version) -> None:
    """The project of a version, in a folder of its own."""
    for name, text in _files(world, now):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def _files(world: World, now: Version) -> Iterator[tuple[str, str]]:
    yield "scrapy.cfg", "[settings]\ndefault = shop.settings\n"
    for package in ("shop", "shop/spiders", "shop/commands"):
        yield f"{package}/__init__.py", ""
    yield "shop/settings.py", PROJECT
    yield "shop/commands/crawl_with_object.py", COMMAND
    added = "added = scrapy.Field()" if now.added_field else ""
    yield f"shop/{now.models}.py", MODELS.format(added=added, **now.names)
    rules = ""
    if world.rules:
        listed = ", ".join(RULES[name].format(**now.names) for name in now.rules)
        first = f"def parse_start_url(self, response):\n            return self.{now.names['page']}"
        rules = f"rules = [{listed}]\n\n        {first}(response)\n"
    yield (
        "shop/spiders/changing.py",
        SPIDER.format(
            base="CrawlSpider" if world.rules else "Spider",
            rules=rules,
            first="" if world.rules else f"self.{now.names['page']}",
            models=now.models,
            cities=list(now.cities),
            page_first=now.page_first,
            every_order=world.every_order,
            start_item=world.start_item,
            has_lambda=world.has_lambda,
            told_apart=world.told_apart,
            **now.names,
        ),
    )
