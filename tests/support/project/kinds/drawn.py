"""A site, a spider for it and settings, drawn from a seed: features in combination.

All is drawn so that plain Scrapy's items depend on no timing, and on no page having been asked
before a kill. So what a page gives depends on the page alone, not on who asked for it or how; a
page that fails first fails less often than it is retried; what is asked for without a filter
ranks lower than who asks for it, and ends.
"""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any

from kinds.drawnpages import (
    ASYNC_FORMS,
    CALLED,
    FAILING,
    FEATURE_OF,
    FEATURES,
    HOSTS,
    JOB,
    KINDS,
    LARGEST_BYTES,
    LOST_FOR_GOOD,
    RAISING_FORMS,
    STATUSES,
    UNRECORDABLE,
    Ask,
    Page,
    Step,
)


class World:
    """What one seed gives. ``pages`` by their numbers, from 0."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        chance = self.chance
        self.features = {name for name in FEATURES if chance.random() < FEATURES[name]}
        if "breaker" in self.features:
            # A page that never answers would be the probe for ever.
            self.features -= {"dead", "large"}
        if "cache" in self.features:
            self.features -= {"breaker", "large"}
        if "depth" in self.features:
            self.features -= {"again"}
        self.hosts = chance.sample(HOSTS, chance.randint(2, 4)) if self.has("hosts") else []
        self.hosts = self.hosts or ["127.0.0.1"]
        self.retries = chance.choice([0, 1, 2, 3])
        self.pages: list[Page] = []
        self.start_steps: list[Step] = []
        self.idle_asks: list[Ask] = []
        self._draw_pages()
        self._draw_steps()
        self._draw_start()

    def has(self, feature: str) -> bool:
        return feature in self.features

    def happens(self, feature: str, probability: float) -> bool:
        return self.has(feature) and self.chance.random() < probability

    @property
    def repeats(self) -> bool:
        """A graceful stop leaves something to be fetched again."""
        return bool(self.features & {"lambdas", "every run", "idle"})

    # ---- pages

    def _add(self, kind: str, level: int, **more: Any) -> Page:
        page = Page(len(self.pages), kind, self.chance.choice(self.hosts), level, **more)
        self.pages.append(page)
        return page

    def _private(self, level: int, kind: str = "page") -> Page:
        """A page for a single asker, with a few items."""
        page = self._add(kind, level, rank=-1)
        page.steps = self._items(page, self.chance.randint(1, 2))
        return page

    def _draw_pages(self) -> None:
        chance = self.chance
        count = chance.randint(40, 100)
        self.levels = chance.randint(3, 7)
        kinds = ["page"] * 12
        for kind, weight in KINDS.items():
            if self.has(FEATURE_OF.get(kind, kind)):
                kinds += [kind] * weight
        for number in range(count):
            level = 0 if number < 4 else chance.randint(1, self.levels)
            kind = "page" if number < 4 else chance.choice(kinds)
            if kind == "secret" and level < 2:
                kind = "page"
            page = self._add(kind, level)
            if kind in {"page", "flaky", "slow"}:
                page.rank = chance.choice([0, 0, 1, 2])
        self.common = list(self.pages)
        for page in sorted(self.common, key=lambda page: page.kind == "redirect"):
            make = getattr(self, f"_make_{page.kind}", None)
            if make is not None:
                make(page)

    def _make_slow(self, page: Page) -> None:
        page.query = {"seconds": self.chance.choice([0.05, 0.1, 0.3])}

    def _make_flaky(self, page: Page) -> None:
        if not self.retries:
            page.kind = "page"
            return
        fail = self.chance.choice([503, 500, 429, 0])
        page.query = {"fail": fail, "times": self.chance.randint(1, self.retries)}
        if fail in {429, 503} and self.happens("limited", 0.35):
            page.query["after"] = self.chance.choice(["1", "1", "date:1"])
            page.query["times"] = 1

    def _make_raising(self, page: Page) -> None:
        page.forms = RAISING_FORMS

    def _make_inner(self, page: Page) -> None:
        page.forms = ASYNC_FORMS

    def _make_post(self, page: Page) -> None:
        page.http = self.chance.choice(["form", "json", "raw"])

    def _make_refused(self, page: Page) -> None:
        """A handler of ``request_scheduled`` does not let it through."""
        page.rank = 99

    def _make_noticed(self, page: Page) -> None:
        """A handler of ``response_received`` asks for another page."""
        page.query = {"notice": self._private(0).number}

    def _make_secret(self, page: Page) -> None:
        page.host = "127.0.0.1" if "127.0.0.1" in self.hosts else self.hosts[0]
        page.rank = 99

    def _make_offsite(self, page: Page) -> None:
        page.rank = 99

    def _make_large(self, page: Page) -> None:
        page.query = {"bytes": LARGEST_BYTES * 4}

    def _make_dead(self, page: Page) -> None:
        how = self.chance.choice(LOST_FOR_GOOD)
        if how == "dropped":
            page.query = {"fail": 0, "times": 999}
        elif how in {"unavailable", "error"}:
            page.query = {"fail": STATUSES[how], "times": 999}
        else:
            page.query = {"status": STATUSES[how]}

    def _make_login(self, page: Page) -> None:
        page.jar = page.number
        page.rank = 99
        for _ in range(self.chance.randint(1, 4)):
            inner = self._private(page.level + 1, "private")
            inner.jar, inner.host = page.jar, page.host
            page.steps.append(("ask", self._ask(inner)))

    def _make_redirect(self, page: Page) -> None:
        """To a known page, or to one of its own; flaky only to one of its own."""
        chance = self.chance
        if chance.random() < 0.3:
            target = self._private(page.level)
        else:
            target = self._target_of_redirect(page) or self._private(page.level)
        page.to = target.number
        page.query = {"to": target, "code": chance.choice(["301", "302", "307", "refresh"])}
        if self.happens("post", 0.3):
            page.http = "form"
        if target.is_private and self.retries and self.happens("flaky", 0.3):
            page.query |= {"fail": chance.choice([503, 0]), "times": 1}
            if page.query["fail"] and self.happens("limited", 0.3):
                page.query["after"] = "1"
        final, hops = target, 1
        while final.to is not None:
            final, hops = self.pages[final.to], hops + 1
        page.forms = final.forms
        page.rank = max(final.rank, 0)
        page.jar = None

    def _target_of_redirect(self, page: Page) -> Page | None:
        """Of those that come after it, at its level; chains have at most four hops."""
        able = [
            other
            for other in self.common
            if other.number > page.number
            and (other.level == page.level or not self.has("depth"))
            and other.kind not in {"redirect", "post", "login", "secret"}
        ]
        before = [
            other
            for other in self.common
            if other.number < page.number
            and other.to is not None
            and (other.level == page.level or not self.has("depth"))
            and self._hops(other) < 4
            and other.kind == "redirect"
            and "times" not in other.query
        ]
        choices = able + before * 2
        return self.chance.choice(choices) if choices else None

    def _hops(self, page: Page) -> int:
        hops = 0
        while page.to is not None and page.kind == "redirect":
            page, hops = self.pages[page.to], hops + 1
        return hops

    def _make_loop(self, page: Page) -> None:
        """Goes round over one more page, or to itself."""
        page.query = {"self": self.chance.random() < 0.5}

    # ---- what callbacks give

    def _items(self, page: Page, count: int) -> list[Step]:
        steps: list[Step] = []
        for number in range(count):
            fate, target = "", -1
            if self.happens("pipeline", 0.35):
                fate = self.chance.choice(["drop", "fail", "rest", "ask", "ask unfiltered", "tell"])
            if fate in {"ask", "ask unfiltered", "tell"}:
                if page.is_private:
                    fate = "rest"
                else:
                    target = self._private(0).number
            steps.append(("item", number, fate, target))
            if self.happens("twins", 0.2):
                steps.append(("item", number, "", -1))
        return steps

    def _ask(self, target: Page, *, unfiltered: bool = False, form: str = "") -> Ask:
        chance = self.chance
        if not form:
            forms = [f for f in target.forms if self.has("lambdas") or f not in UNRECORDABLE]
            form = chance.choice(forms)
        return Ask(
            target.number,
            form,
            unfiltered,
            alias=target.kind in {"page", "redirect", "flaky"}
            and target.rank != 99
            and self.happens("alias", 0.15),
            priority=chance.randint(-3, 3) if self.has("priorities") else 0,
            odd=self.happens("odd", 0.5),
            errback=self._errback(target),
            unit=chance.choice(["", "a", "b"]) if self.has("units") else "",
        )

    def _errback(self, target: Page) -> str:
        if self.happens("lambdas", 0.1):
            return "lambda"
        while target.to is not None:
            target = self.pages[target.to]
        names = ["failed", "failed_async"] if target.kind in FAILING else ["failed", ""]
        return self.chance.choice(names)

    def _draw_steps(self) -> None:
        asked: dict[int, list[Step]] = {page.number: [] for page in self.common}
        for page in self.common[4:]:
            parents = [p for p in self.common if self._may_ask(p, page) and p.number < page.number]
            wanted = 1 + (self.chance.random() < 0.5) + (self.chance.random() < 0.2)
            for parent in self.chance.sample(parents, min(wanted, len(parents))):
                asked[parent.number].append(("ask", self._ask(page)))
            if not parents and not self.has("depth"):
                self.start_steps.append(("ask", self._ask(page)))
        for page in self.common:
            if page.kind not in CALLED:
                continue
            steps = asked[page.number]
            if self.has("unfiltered"):
                lower = [p for p in self.common if 0 <= p.rank < page.rank]
                lower = [p for p in lower if self._may_ask(page, p)]
                for target in self.chance.sample(lower, min(len(lower), self.chance.randint(0, 2))):
                    copies = self.chance.choice([1, 1, 2])
                    steps += [("ask", self._ask(target, unfiltered=True))] * copies
            if self.has("cross") and not self.has("depth"):
                others = [p for p in self.common if p.kind not in {"login", "secret"}]
                for target in self.chance.sample(others, min(3, len(others))):
                    steps.append(("ask", self._ask(target)))
            steps += self._items(page, self.chance.choice([1, 1, 2, 3]))
            if self.has("rests"):
                steps += [("rest", self.chance.choice([0.0, 0.01, 0.05]))] * 2
            if page.kind == "inner":
                steps += [("inner", page.number)]
            self.chance.shuffle(steps)
            if page.kind == "raising":
                steps.insert(self.chance.randint(0, len(steps)), ("raise",))
            if page.kind == "again":
                steps.insert(0, ("again",))
            page.steps = page.steps + steps
        if self.has("many"):
            page = self.chance.choice([p for p in self.common if p.kind == "page" and not p.rank])
            page.steps += [("item", number, "", -1) for number in range(10, 1200)]
        for page in self.common:
            if page.kind in FAILING and self.chance.random() < 0.6:
                page.after_failure = [("item", 0, "", -1)]
                if self.chance.random() < 0.6:
                    page.after_failure.append(("ask", self._ask(self._private(0))))

    def _may_ask(self, parent: Page, target: Page) -> bool:
        if parent.kind not in CALLED or parent.kind == "raising":
            return False
        if target.kind == "secret" and (parent.host != target.host or parent.level < 1):
            return False
        return not self.has("depth") or target.level == parent.level + 1

    def _draw_start(self) -> None:
        chance = self.chance
        steps: list[Step] = [("ask", self._ask(page)) for page in self.common[:4]]
        if self.has("many starts"):
            steps += [("ask", self._ask(self._private(0))) for _ in range(60)]
        if self.has("unfiltered"):
            able = [p for p in self.common if p.rank in {0, 1, 2} and p.level == 0]
            steps += [("ask", self._ask(p, unfiltered=True)) for p in chance.sample(able, 2)] * 2
        if self.has("start items"):
            items: list[Step] = [("item", number, "", -1) for number in range(3)]
            for fate in ("ask", "ask unfiltered", "tell") if self.has("pipeline") else ():
                items.append(("item", len(items), fate, self._private(0).number))
            steps += items + items[1:]
        if self.has("every run"):
            page = self._private(0)
            page.query = {"every": 1}
            page.steps.append(("ask", self._ask(self._private(1))))
            page.steps += [("ask", self._ask(self._private(1), unfiltered=True))] * 2
            steps.append(("ask", Ask(page.number)))
        if self.has("rests"):
            steps += [("rest", chance.choice([0.01, 0.1]))] * 3
        if self.has("idle"):
            pages = [self._private(0) for _ in range(chance.randint(1, 4))]
            self.idle_asks = [self._ask(page, form="generator") for page in pages]
            self.idle_asks += [self._ask(self.common[1], form="generator")]
        chance.shuffle(steps)
        self.start_steps += steps

    # ---- settings

    def settings(self) -> dict[str, Any]:
        """Scrapy's and the package's, for the command line."""
        chance = random.Random(f"settings {self.seed}")
        given: dict[str, Any] = {
            "CONCURRENT_REQUESTS": chance.choice([1, 4, 16]),
            "CONCURRENT_ITEMS": chance.choice([1, 2, 100]),
            "RETRY_TIMES": self.retries,
            "REDIRECT_MAX_TIMES": 8,
            "DOWNLOAD_TIMEOUT": 20,
            "RESUME_JOB": JOB,
            "RESUME_RETRY_DELAY": chance.choice([0, 0, 0.05, 0.3]),
            "RESUME_COMMIT_INTERVAL": chance.choice([0.02, 0.1, 0.1, 0.5]),
            "RESUME_CRASH_LIMIT": 50,
        }
        if chance.random() < 0.3:
            given["SCHEDULER_PRIORITY_QUEUE"] = "scrapy.pqueues.ScrapyPriorityQueue"
        if chance.random() < 0.3:
            given["RESUME_ORDER"] = chance.choice(["bfo", "dfo"])
        if chance.random() < 0.2:
            given["RESUME_START"] = "once"
        if self.has("breaker"):
            given["RESUME_BREAKER_FAILURES"] = chance.choice([1, 2, 4])
            given["RESUME_BREAKER_COOLDOWN"] = 0.1
            given["RESUME_BREAKER_PROBES"] = 1000
            given["RESUME_RETRY_DELAY_MAX"] = 0.3
        if self.has("delay"):
            given["DOWNLOAD_DELAY"] = 0.01
        if self.has("large"):
            given["DOWNLOAD_MAXSIZE"] = LARGEST_BYTES
        if self.has("robots"):
            given["ROBOTSTXT_OBEY"] = True
        if self.has("cache"):
            given["HTTPCACHE_ENABLED"] = True
            given["HTTPCACHE_IGNORE_HTTP_CODES"] = "500,503,429"
        if self.has("depth"):
            given["DEPTH_LIMIT"] = max(1, self.levels - 2)
            given["DEPTH_PRIORITY"] = chance.choice([-1, 1])
        return given

    def described(self) -> str:
        return (
            f"seed {self.seed}: {', '.join(sorted(self.features))}; {json.dumps(self.settings())}"
        )


@lru_cache(maxsize=8)
def drawn(seed: int) -> World:
    return World(seed)
