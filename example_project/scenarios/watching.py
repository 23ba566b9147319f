"""What a crawl shows before it runs, while it runs, and afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.interrupted import paused_midway
from scenarios.site import DEALERS, MAKES, PHOTOS_A_CAR, cars_of
from scenarios.stage import CRAWL, Running, Stage

IN_HAND = ("/fiat/2", "/ford/2")


def sql(stage: Stage) -> None:
    """Progress is read with plain SQL, while the crawl runs too."""
    crawl, done = held_midway(stage)
    [(status, pages, items)] = stage.query("SELECT status, done, items FROM progress")
    stage.check("as the site knows", (status, pages, items), ("running", done, 5 * done))
    states = dict(stage.query("SELECT state, count(*) FROM requests GROUP BY state"))
    stage.check("done, by request", states["done"], done)
    working = stage.query("SELECT unit, open FROM units WHERE state = 'in_progress'")
    stage.check("in work", {"fiat", "ford"} <= {unit for unit, _ in working})
    stage.check("workers", len(stage.query("SELECT worker, stale FROM workers")), 1)
    stage.site.release()
    stage.finish(crawl)
    rows = stage.query(
        "SELECT json_extract(item, '$.make') AS make, count(*) FROM items GROUP BY make"
    )
    stage.check("cars of each make", rows, [(make, 10) for make in MAKES])
    stage.check("nobody works", stage.query("SELECT * FROM workers"), [])
    stage.check_items(cars_of(*MAKES))


def dry_run(stage: Stage) -> None:
    """Before the first run and before a retry: what would be fetched, and nothing is."""
    shown = stage.run("scrapy resume run cars --dry-run")
    stage.check_shown(shown, *(f"{stage.site.url}/{make}/1" for make in MAKES))
    stage.check("nothing was fetched", stage.site.asked, [])
    stage.check("no job was made", stage.job_file().exists(), False)

    stage.site.fail("/kia/2", 500)
    stage.run(f"{CRAWL} -s RETRY_TIMES=0")
    stage.site.heal("/kia/2")
    before = len(stage.site.asked)
    stage.check_shown(stage.run("scrapy resume retry --dry-run"), "/kia/2")
    status = stage.document("scrapy resume status")
    stage.check(
        "nothing changed", (status["status"], status["requests"]["failed"]), ("completed", 1)
    )
    stage.check_shown(stage.run("scrapy resume retry"), "Run the crawl's own command again")
    stage.check_shown(stage.run("scrapy resume run --dry-run"), "scrapy crawl cars")
    stage.check("nothing was fetched", stage.site.counts(before), {})
    stage.run(f"{CRAWL} -s RETRY_TIMES=0")
    stage.check("fetched", stage.site.counts(before), {"/kia/2": 1})
    stage.check_items(cars_of(*MAKES))


def status_at_work(stage: Stage) -> None:
    """Bar, counts, own counters, rate, ETA, what is in hand and what failed, while it works."""
    stage.site.fail("/audi/1", 500)
    crawl, done = held_midway(stage, f"{CRAWL} -s RETRY_TIMES=0", ["/audi/1"])
    shown = stage.run("scrapy resume status")
    stage.check_shown(shown, "cars#1  running", *IN_HAND, "photos", "ETA", "500", "/audi/1")
    status = stage.document("scrapy resume status")
    urls = sorted(stage.site.url + path for path in IN_HAND)
    stage.check("in hand", sorted(status["in_flight"]), urls)
    stage.check("done", status["requests"]["done"], done)
    stage.check("photos", status["custom"], {"photos": 5 * PHOTOS_A_CAR * done})
    stage.check("an ETA", status["eta_seconds"] > 0)
    stage.check_shown(stage.run("scrapy resume units --state failed"), "audi")
    stage.check_shown(stage.run("scrapy resume units --state in_progress"), "fiat", "ford")
    [worker] = stage.document("scrapy resume workers")
    stage.run("scrapy resume workers")
    stage.check("the worker's", sorted(worker["in_hand"]), urls)
    stage.site.release()
    stage.finish(crawl)
    stage.check_items(cars_of(*set(MAKES) - {"audi"}))


def side_by_side(stage: Stage) -> None:
    """Two crawls at once, in one list and one report."""
    cars, _ = held_midway(stage)
    stage.site.hold("/dealers/2")
    dealers = stage.start("scrapy crawl dealers -o dealers.jsonl")
    stage.site.wait_until_asked("/dealers/2")
    stage.check_shown(stage.run("scrapy resume list"), "cars#1", "dealers#1")
    jobs = {job["job"]: job["status"] for job in stage.document("scrapy resume list")}
    stage.check("both run", jobs, {"cars": "running", "dealers": "running"})
    stage.site.release()
    stage.finish(dealers)
    stage.finish(cars)
    stage.check_items(cars_of(*MAKES))
    stage.check_items(DEALERS, feed="dealers.jsonl", job="dealers")
    stage.check_shown(stage.run("scrapy resume report"), "cars#1", "dealers#1", "2 completed")
    stage.run("scrapy resume report -o report.html")
    page = (stage.folder / "report.html").read_text()
    stage.check("the page has both", "cars#1" in page and "dealers#1" in page)


def progress_by_state(stage: Stage) -> None:
    """Makes that are planned, in work, done, failed and parked, and how many of each."""
    stage.site.fail("/audi/1", 500)
    quick = f"{CRAWL} -s RETRY_TIMES=0"
    paused_midway(stage, quick)
    stage.check_shown(stage.run("scrapy resume park --unit seat"), "request")
    crawl, _ = held_midway(stage, quick, ["/audi/1"])
    stage.run("scrapy resume units")
    units = {unit["unit"]: unit["state"] for unit in stage.document("scrapy resume units")}
    stage.check("failed and parked", (units["audi"], units["seat"]), ("failed", "parked"))
    stage.check("in work", (units["fiat"], units["ford"]), ("in_progress", "in_progress"))
    counted = dict(stage.query("SELECT state, count(*) FROM units GROUP BY state"))
    for state, count in counted.items():
        listed = stage.document(f"scrapy resume units --state {state}")
        stage.check(f"{state}, listed", len(listed), count)
    counts = stage.document("scrapy resume status")["named_units"]
    stage.check("in status", {state: counts[state] for state in counted}, counted)
    stage.check("all", counts["total"], len(MAKES))
    stage.site.release()
    stage.finish(crawl)
    rest = set(MAKES) - {"audi", "seat"}
    done = dict(stage.query("SELECT state, count(*) FROM units GROUP BY state"))
    stage.check("at the end", done, {"completed": len(rest), "failed": 1, "parked": 1})


def held_midway(
    stage: Stage, line: str = CRAWL, failing: Sequence[str] = ()
) -> tuple[Running, int]:
    """A crawl with two pages in hand, and how many pages it has done."""
    stage.site.hold(*IN_HAND)
    crawl = stage.start(line)
    stage.site.wait_until_asked(*IN_HAND)
    done = sum(path not in {*IN_HAND, *failing} for path in stage.site.counts())
    stage.until_done(done)
    return crawl, done
