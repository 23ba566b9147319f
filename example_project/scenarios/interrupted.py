"""Crawls that are stopped, or that die."""

from __future__ import annotations

import signal

from scenarios.site import MAKES, cars_of, pages_of
from scenarios.stage import CRAWL, Stage


def ctrl_c(stage: Stage) -> None:
    """Ctrl-C finishes the pages in hand and says how to go on; twice, it does not wait."""
    stage.site.hold("/fiat/1", "/ford/1")
    crawl = stage.start(CRAWL)
    stage.site.wait_until_asked("/fiat/1", "/ford/1")
    stage.interrupt(crawl)
    stage.site.release()
    stage.check_shown(stage.finish(crawl), "paused (shutdown)", "run the same command again")
    once = stage.site.counts()
    stage.check("no page was asked for twice", max(once.values()), 1)
    stage.check(
        "the pages in hand are done",
        stage.rows(
            "SELECT count(*) FROM requests WHERE state = 'done' AND unit IN ('fiat', 'ford')"
        ),
        [(2,)],
    )

    left = sorted(set(pages_of(*MAKES)) - set(once))
    stage.site.hold(*left[:2])
    before = len(stage.site.asked)
    crawl = stage.start(CRAWL)
    stage.site.wait_until_asked(left[0])
    stage.interrupt(crawl)
    stage.send(crawl, signal.SIGINT)
    stage.finish(crawl)
    in_hand = set(stage.site.counts(before)) & set(left[:2])
    stage.site.release()

    stage.run(CRAWL)
    stage.check_items(cars_of(*MAKES))
    twice = {path for path, times in stage.site.counts().items() if times > 1}
    stage.check("asked for again: what was in hand at the second Ctrl-C", twice, in_hand)
    stage.check("completed", stage.document("scrapy resume status")["status"], "completed")


def power_cut(stage: Stage) -> None:
    """After SIGKILL the same command goes on; the pages in hand are fetched again, no others."""
    in_hand = ["/fiat/1", "/ford/1"]
    stage.site.hold(*in_hand)
    crawl = stage.start(CRAWL)
    stage.site.wait_until_asked(*in_hand)
    done = len(stage.site.counts()) - len(in_hand)
    stage.until_done(done)
    stage.send(crawl, signal.SIGKILL)
    crawl.wait()
    stage.site.release()

    stage.check_shown(stage.run("scrapy resume status"), "crashed", "/fiat/1", "/ford/1")
    status = stage.document("scrapy resume status")
    stage.check("pages done", status["requests"]["done"], done)
    stage.check(
        "in hand", sorted(status["in_flight"]), sorted(stage.site.url + path for path in in_hand)
    )
    stage.check_shown(stage.run(CRAWL), "crash")
    stage.check_items(cars_of(*MAKES))
    twice = sorted(path for path, times in stage.site.counts().items() if times > 1)
    stage.check("asked for again: what was in hand", twice, in_hand)


def changed_input(stage: Stage) -> None:
    """A job whose input file has changed is refused, and goes on if one insists."""
    paused_midway(stage)
    before = len(stage.site.asked)
    with (stage.folder / "makes.txt").open("a") as makes:
        makes.write("opel\n")
    stage.check_shown(stage.run(CRAWL, code=1), "makes.txt", "RESUME_ON_INPUT_CHANGE")
    stage.check("nothing was fetched", stage.site.counts(before), {})
    stage.check_shown(stage.run("scrapy resume show"), "makes.txt", "changed")
    stage.check("still paused", stage.document("scrapy resume status")["status"], "paused")

    stage.run(f"{CRAWL} -s RESUME_ON_INPUT_CHANGE=warn")
    stage.check_items(cars_of(*MAKES, "opel"))
    stage.check("no page was asked for twice", max(stage.site.counts().values()), 1)


def damaged_checkpoint(stage: Stage) -> None:
    """A damaged job is restored from its copy, says what was lost, and gets whole again."""
    keeping = f"{CRAWL} -s RESUME_BACKUP=300"
    paused_midway(stage, keeping)
    copied = set(stage.site.counts())
    left = sorted(set(pages_of(*MAKES)) - copied)
    stage.site.hold(*left)
    crawl = stage.start(CRAWL)  # without a copy: what it does is lost with the job's file
    stage.until("a page is in hand", lambda: set(stage.site.counts()) & set(left))
    stage.site.release()
    stage.until(
        "something is done", lambda: stage.rows("SELECT done FROM progress") > [(len(copied),)]
    )
    stage.send(crawl, signal.SIGKILL)
    crawl.wait()
    with stage.job_file().open("r+b") as file:
        file.write(bytes(8192))
    stage.check_shown(stage.run("scrapy resume list", code=1), "damaged")
    stage.check_shown(stage.run("scrapy resume verify", code=1), "cars#1.sqlite3")

    before = len(stage.site.asked)
    stage.check_shown(stage.run(keeping), "ERROR", "restored")
    stage.check_items(cars_of(*MAKES))
    stage.check(
        "asked for again: nothing that was in the copy",
        set(stage.site.counts(before)) & copied,
        set(),
    )
    kept = [path.name for path in stage.job_file().parent.glob("*.damaged-*")]
    stage.check("the damaged file is kept aside", "cars#1.sqlite3.damaged-1" in kept)


def paused_midway(stage: Stage, line: str = CRAWL) -> None:
    """Ctrl-C while two pages in the middle are in hand."""
    stage.site.hold("/fiat/1", "/ford/1")
    crawl = stage.start(line)
    stage.site.wait_until_asked("/fiat/1", "/ford/1")
    stage.interrupt(crawl)
    stage.site.release()
    stage.finish(crawl)
