"""A spider whose requests share values, in the shapes that ``-a shape=…`` names.

Each of ``parents`` pages of a shape makes ``n`` requests, and gives one item that all of their
callbacks have filled, in whatever order they come. So a value that is not one object, or that a
callback fills twice, shows in the items.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from scrapy import Field, Item, Request, Spider
from scrapy.http import Response


class Book(Item):
    title = Field()
    parts = Field()


@dataclass
class Paper:
    title: str
    parts: list[str] = field(default_factory=list)


class SharingSpider(Spider):
    name = "sharing"
    site: str
    shape = "dict"
    n = "4"
    parents = "5"
    FIXED: ClassVar[dict[str, Any]] = {"currency": "EUR", "tags": ["a", "b"]}

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cache: dict[str, Any] = {}
        self.count = int(self.n)

    def leaf(self, number: int, callback: Any, **given: Any) -> Request:
        return Request(f"{self.site}/leaf/{number}", callback=callback, **given)

    def leaves(self, parent: int, level: int = 0) -> Iterator[int]:
        for number in range(self.count):
            yield 1_000_000 * level + 10_000 * (parent + 1) + number

    async def start(self) -> AsyncIterator[Any]:
        parents = int(self.parents)
        for place, shape in enumerate(self.shape.split(",")):
            for parent in range(place * parents, (place + 1) * parents):
                if shape == "start":
                    shared: dict[str, Any] = {"title": f"item {parent}", "parts": []}
                    for number in self.leaves(parent):
                        yield self.leaf(number, self.parse_dict, cb_kwargs={"item": shared})
                else:
                    method = getattr(self, f"make_{shape}")
                    yield self.leaf(parent, method, cb_kwargs={"parent": parent})

    # ---- one item that all fill

    def make_dict(self, response: Response, parent: int) -> Iterator[Any]:
        item = {"title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_dict, cb_kwargs={"item": item})

    def make_meta(self, response: Response, parent: int) -> Iterator[Any]:
        item = {"title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_meta, meta={"item": item})

    def make_item(self, response: Response, parent: int) -> Iterator[Any]:
        item = Book(title=f"item {parent}", parts=[])
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_dict, cb_kwargs={"item": item})

    def make_dataclass(self, response: Response, parent: int) -> Iterator[Any]:
        item = Paper(f"item {parent}")
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_paper, cb_kwargs={"paper": item})

    def make_nested(self, response: Response, parent: int) -> Iterator[Any]:
        parts: list[str] = []
        for number in self.leaves(parent):
            own = {"title": f"item {parent}", "of": {"parts": parts}, "number": number}
            yield self.leaf(number, self.parse_nested, cb_kwargs={"own": own})

    def make_within(self, response: Response, parent: int) -> Iterator[Any]:
        """Each request has the item, and the part of it that it fills."""
        item: dict[str, Any] = {"title": f"item {parent}", "open": 2 * self.count, "parts": {}}
        for number in self.leaves(parent):
            part = item["parts"][str(number)] = {"pages": []}
            for level in range(2):
                own = {"part": part, "item": item}
                yield self.leaf(1_000_000 * level + number, self.parse_within, cb_kwargs=own)

    def parse_within(self, response: Response, part: Any, item: Any) -> Iterator[Any]:
        part["pages"].append(response.url.rpartition("/")[2])
        item["open"] -= 1
        if not item["open"]:
            parts = {key: sorted(one["pages"]) for key, one in sorted(item["parts"].items())}
            yield {"title": item["title"], "parts": parts}

    def make_counter(self, response: Response, parent: int) -> Iterator[Any]:
        state = {"remaining": 0, "title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            state["remaining"] += 1
            yield self.leaf(number, self.parse_counter, cb_kwargs={"state": state})

    def make_two(self, response: Response, parent: int) -> Iterator[Any]:
        one = {"title": f"one {parent}", "parts": []}
        other = {"title": f"other {parent}", "parts": []}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_dict, cb_kwargs={"item": one})
            yield self.leaf(number + 5_000, self.parse_dict, cb_kwargs={"item": other})

    def make_lambda(self, response: Response, parent: int) -> Iterator[Any]:
        item = {"title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            if number % 2:
                yield self.leaf(number, lambda response: self.parse_dict(response, item))
            else:
                yield self.leaf(number, self.parse_dict, cb_kwargs={"item": item})

    def make_failing(self, response: Response, parent: int) -> Iterator[Any]:
        """One page of each group is not there."""
        state = {"remaining": self.count, "title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            request = self.leaf(
                number,
                self.parse_counter,
                errback=self.count_failure,
                cb_kwargs={"state": state},
            )
            missing = number % self.count == 1
            yield request.replace(url=f"{self.site}/missing/{number}") if missing else request

    def count_failure(self, failure: Any) -> Iterator[Any]:
        return self.count_down(failure.request.cb_kwargs["state"])

    def parse_dict(self, response: Response, item: Any) -> Iterator[Any]:
        item["parts"].append(response.url.rpartition("/")[2])
        if len(item["parts"]) == self.count:
            yield {"title": item["title"], "parts": sorted(item["parts"])}

    def parse_meta(self, response: Response) -> Iterator[Any]:
        return self.parse_dict(response, response.meta["item"])

    def parse_paper(self, response: Response, paper: Paper) -> Iterator[Any]:
        return self.parse_dict(response, asdict(paper) | {"parts": paper.parts})

    def parse_nested(self, response: Response, own: Any) -> Iterator[Any]:
        return self.parse_dict(response, {"title": own["title"], "parts": own["of"]["parts"]})

    def parse_counter(self, response: Response, state: Any) -> Iterator[Any]:
        state["parts"].append(response.url.rpartition("/")[2])
        return self.count_down(state)

    def count_down(self, state: Any) -> Iterator[Any]:
        state["remaining"] -= 1
        if not state["remaining"]:
            yield {"title": state["title"], "parts": sorted(state["parts"])}

    # ---- several levels

    def make_levels(self, response: Response, parent: int) -> Iterator[Any]:
        item: dict[str, Any] = {"title": f"item {parent}", "open": self.count, "parts": {}}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_child, cb_kwargs={"item": item, "number": number})

    def parse_child(self, response: Response, item: Any, number: int) -> Iterator[Any]:
        item["parts"][str(number)] = []
        for below in range(2):
            item["open"] += 1
            yield self.leaf(
                1_000_000 * (below + 1) + number,
                self.parse_grandchild,
                meta={"item": item, "number": number},
            )
        yield from self.close_one(item)

    def parse_grandchild(self, response: Response) -> Iterator[Any]:
        item, number = response.meta["item"], response.meta["number"]
        item["parts"][str(number)].append(response.url.rpartition("/")[2])
        yield from self.close_one(item)

    def close_one(self, item: Any) -> Iterator[Any]:
        item["open"] -= 1
        if not item["open"]:
            parts = {key: sorted(value) for key, value in sorted(item["parts"].items())}
            yield {"title": item["title"], "parts": parts}

    def make_chain(self, response: Response, parent: int) -> Iterator[Any]:
        item = {"title": f"item {parent}", "parts": [], "left": list(self.leaves(parent))}
        yield self.leaf(item["left"].pop(0), self.parse_chain, meta={"item": item})
        item["late"] = "set after the request was yielded"

    def parse_chain(self, response: Response) -> Iterator[Any]:
        item = response.meta["item"]
        item["parts"].append(response.url.rpartition("/")[2])
        if item["left"]:
            yield self.leaf(item["left"].pop(0), self.parse_chain, meta=response.meta)
        else:
            yield item

    def make_fanin(self, response: Response, parent: int) -> Iterator[Any]:
        """The last of a group yields another request with what all have filled."""
        item = {"title": f"item {parent}", "parts": []}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_fanin, cb_kwargs={"item": item})

    def parse_fanin(self, response: Response, item: Any) -> Iterator[Any]:
        item["parts"].append(response.url.rpartition("/")[2])
        if len(item["parts"]) == self.count:
            number = 2_000_000 + int(item["title"].split()[1])
            yield self.leaf(number, self.parse_last, cb_kwargs={"item": item})

    def parse_last(self, response: Response, item: Any) -> Iterator[Any]:
        yield {"title": item["title"], "parts": sorted(item["parts"]), "last": response.url[-7:]}

    # ---- what nobody changes

    def make_constant(self, response: Response, parent: int) -> Iterator[Any]:
        fixed = {"currency": "EUR", "tags": ["a", "b"]}
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_constant, cb_kwargs={"fixed": fixed})

    def parse_constant(self, response: Response, fixed: Any) -> Iterator[Any]:
        yield {"title": response.url.rpartition("/")[2], "fixed": fixed}

    def make_passed(self, response: Response, parent: int) -> Iterator[Any]:
        for number in self.leaves(parent):
            yield self.leaf(number, self.pass_on, meta={"fixed": self.FIXED, "level": 0})

    def pass_on(self, response: Response) -> Iterator[Any]:
        name = response.url.rpartition("/")[2]
        yield {"title": name, "fixed": response.meta["fixed"]}
        level = response.meta["level"] + 1
        if level < 3:
            number = int(name) + 1_000_000
            yield self.leaf(number, self.pass_on, meta=response.meta | {"level": level})

    # ---- what the spider holds

    def make_cache(self, response: Response, parent: int) -> Iterator[Any]:
        for number in self.leaves(parent):
            yield self.leaf(number, self.parse_cache, cb_kwargs={"cache": self.cache})

    def parse_cache(self, response: Response, cache: Any) -> Iterator[Any]:
        cache[response.url] = True
        yield {"title": response.url.rpartition("/")[2], "same": cache is self.cache}

    # ---- one object for all that a loop yields (scrapy#2734, #1257, #1416)

    def make_reused(self, response: Response, parent: int) -> Iterator[Any]:
        item = Book()
        for number in self.leaves(parent):
            item["title"] = f"{parent}/{number}"
            yield self.leaf(number, self.parse_reused, meta={"item": item, "n": number})

    def parse_reused(self, response: Response) -> Iterator[Any]:
        yield {"title": response.meta["item"]["title"], "parts": response.meta["n"]}

    def make_followed(self, response: Response, parent: int) -> Iterator[Any]:
        """``follow_all`` gives all of its requests the same values (scrapy#4796)."""
        item = {"title": f"item {parent}", "parts": []}
        urls = [f"{self.site}/leaf/{number}" for number in self.leaves(parent)]
        return response.follow_all(urls, self.parse_dict, cb_kwargs={"item": item})
