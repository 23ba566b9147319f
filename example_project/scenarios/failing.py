"""Pages that fail: waited for, given up, listed, retried, skipped."""

from __future__ import annotations

from scenarios.interrupted import paused_midway
from scenarios.site import MAKES, cars_of
from scenarios.stage import CRAWL, Stage

ATTEMPTS = 3
"""What the project's RETRY_TIMES = 2 makes of each page."""


def rate_limited(stage: Stage) -> None:
    """429: three tries with growing waits, then the next page; Retry-After holds the whole host."""
    stage.site.fail("/bmw/1", 429, times=2)
    stage.site.fail("/kia/1", 429)
    stage.check_shown(
        stage.run(CRAWL), "for host 127.0.0.1: HTTP 429; its other requests go on", "1 failed"
    )
    for path in ("/bmw/1", "/kia/1"):
        first, second, third = stage.site.times(path)
        stage.check(f"{path} was tried again after 0.2 s", second - first >= 0.2)
        stage.check(f"{path} was tried again after 0.4 s more", third - second >= 0.4)
        others = [at for other, at in stage.site.asked if other != path and first < at < third]
        stage.check("other pages were fetched meanwhile", len(others) > 0)
    stage.check_items(cars_of(*set(MAKES) - {"kia"}))
    stage.check_shown(stage.run("scrapy resume failed"), "HttpError", "429", "/kia/1")
    stage.run("scrapy resume status --check", code=3)

    stage.site.heal("/kia/1")
    stage.site.fail("/kia/1", 429, times=1, Retry_After="1")
    stage.check_shown(stage.run("scrapy resume retry --status 429"), "1 request")
    stage.check_shown(stage.run(CRAWL), "waiting 1 s for host 127.0.0.1: HTTP 429")
    first, second = stage.site.times("/kia/1")[ATTEMPTS:]
    stage.check("it waited for as long as the site asked for", second - first >= 1)
    stage.check_items(cars_of(*MAKES))
    stage.run("scrapy resume status --check")


def timeouts(stage: Stage) -> None:
    """A page that never answers is tried again, given up and listed; the others are there."""
    stage.site.hold("/kia/2")
    impatient = f"{CRAWL} -s DOWNLOAD_TIMEOUT=0.5"
    stage.run(impatient)
    stage.check("it was tried so often", len(stage.site.times("/kia/2")), ATTEMPTS)
    stage.check_items([*cars_of(*set(MAKES) - {"kia"}), *cars_of("kia", pages=[1])])
    stage.check_shown(stage.run("scrapy resume requests --state failed"), "/kia/2", "Timeout")
    [request] = stage.document("scrapy resume requests --state failed")
    stage.check("its unit", request["unit"], "kia")
    [unit] = stage.document("scrapy resume units --unit kia")
    stage.check("the unit says so", (unit["state"], unit["error"]), ("partial", request["error"]))

    stage.site.release()
    stage.run(f"scrapy resume retry --error {request['error']}")
    before = len(stage.site.asked)
    stage.run(impatient)
    stage.check("only that was fetched", stage.site.counts(before), {"/kia/2": 1})
    stage.check_items(cars_of(*MAKES))


def skipped_for_good(stage: Stage) -> None:
    """Failed units are listed, retried, and skipped for good: by later numbers too."""
    for path in ("/kia/2", "/seat/1"):
        stage.site.fail(path, 500)
    stage.run(CRAWL)
    stage.check_shown(stage.run("scrapy resume failed"), "500", "/kia/2", "/seat/1")
    stage.check_shown(stage.run("scrapy resume units --state failed,partial"), "kia", "seat")

    stage.site.heal("/kia/2")
    stage.check_shown(stage.run("scrapy resume retry --unit kia"), "1 request")
    stage.run(CRAWL)
    stage.check_items(cars_of(*set(MAKES) - {"seat"}))

    stage.run("scrapy resume status --check", code=3)
    stage.check_shown(stage.run("scrapy resume skip --unit seat"), "1 request")
    stage.run("scrapy resume status --check")
    stage.check_shown(stage.run("scrapy resume requests --skipped"), "/seat/1")
    stage.run("scrapy resume retry")
    stage.check(
        "a plain retry leaves it",
        stage.document("scrapy resume requests --state failed,pending"),
        [],
    )

    stage.site.heal("/seat/1")
    before = len(stage.site.asked)
    stage.run("scrapy crawl cars -O again.jsonl")
    stage.check("the next number", stage.document("scrapy resume status")["number"], 2)
    stage.check("no page of it was fetched", stage.site.counts(before)["/seat/1"], 0)
    stage.check_items(cars_of(*set(MAKES) - {"seat"}), feed="again.jsonl")


def retry_only_failed(stage: Stage) -> None:
    """RESUME_MODE=retry-failed fetches what has failed and nothing of what is pending."""
    stage.site.fail("/audi/1", 500)
    stage.site.fail("/bmw/1", 500)
    paused_midway(stage, f"{CRAWL} -s RETRY_TIMES=0")
    failed = [request["url"] for request in stage.document("scrapy resume requests --state failed")]
    stage.check("failed", failed, [f"{stage.site.url}/audi/1", f"{stage.site.url}/bmw/1"])
    pending = stage.document("scrapy resume requests --state pending")
    stage.check("others are pending", len(pending) > 0)

    stage.site.heal("/audi/1", "/bmw/1")
    before = len(stage.site.asked)
    stage.run(f"{CRAWL} -s RESUME_MODE=retry-failed")
    stage.check(
        "fetched: what had failed, and what that led to",
        sorted(stage.site.counts(before)),
        ["/audi/1", "/audi/2", "/bmw/1", "/bmw/2"],
    )
    status = stage.document("scrapy resume status")
    stage.check(
        "the rest is still pending",
        (status["status"], status["requests"]["pending"]),
        ("paused", len(pending)),
    )
    stage.run(CRAWL)
    stage.check_items(cars_of(*MAKES))


def reset_with_limit(stage: Stage) -> None:
    """Failed pages are put back unless they were tried more than N times."""
    stage.site.fail("/kia/1", 500)
    stage.site.fail("/seat/1", 403)  # Scrapy does not try a 403 again
    stage.run(CRAWL)
    attempts = {
        request["unit"]: request["attempts"]
        for request in stage.document("scrapy resume requests --state failed")
    }
    stage.check("attempts", attempts, {"kia": ATTEMPTS, "seat": 1})
    stage.site.heal("/kia/1", "/seat/1")
    stage.check_shown(stage.run("scrapy resume retry --max-attempts 1"), "1 request")
    before = len(stage.site.asked)
    stage.run(CRAWL)
    stage.check("fetched", sorted(stage.site.counts(before)), ["/seat/1", "/seat/2"])
    stage.check_items(cars_of(*set(MAKES) - {"kia"}))
    stage.check_shown(stage.run("scrapy resume requests --state failed"), "/kia/1")

    stage.run(f"scrapy resume retry --max-attempts {ATTEMPTS}")
    stage.run(CRAWL)
    stage.check_items(cars_of(*MAKES))
    stage.check_shown(stage.run("scrapy resume report"), "cars#1")
