"""What a crawl that was killed is held against: a plain one, and the site's hit log."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.runs import Run
from tests.support.site import NOT_PAGES, Hit

COMMIT_SECONDS = 0.1
"""The default of ``RESUME_COMMIT_INTERVAL``."""

PROCESSING_SECONDS = 1.5
"""Between the site's answer and the end of the callback, on a machine that other suites keep
busy: a stall of 0.9 s was seen there. The soak's table shows what it really was."""

SQLITE_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class Comparison:
    """Items that a plain run has and a resumed one lacks, and the other way round."""

    lost: Counter[str]
    twice: Counter[str]

    def __str__(self) -> str:
        return f"lost {_examples(self.lost)}, twice or unknown {_examples(self.twice)}"


def _examples(items: Counter[str]) -> str:
    return f"{items.total()} {list(items)[:5]}" if items else "0"


def compare(plain: Counter[str], resumed: Counter[str]) -> Comparison:
    return Comparison(lost=plain - resumed, twice=resumed - plain)


def damaged_files(store: Path) -> list[str]:
    """What SQLite's integrity check says of every database below a folder; empty: sound."""
    complaints = []
    for path in filter(is_database, sorted(store.rglob("*"))):
        complaints += [f"{path.name}: {said}" for said in integrity(path) if said != "ok"]
    return complaints


def is_database(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def integrity(path: Path) -> list[str]:
    """What SQLite says of a database, ``ok`` for a sound one."""
    try:
        with closing(sqlite3.connect(path)) as database:
            return [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        return [str(error)]


@dataclass
class Refetch:
    """What one kill cost: pages fetched again, of those that it could have cost.

    ``oldest_seconds`` is how long before the kill the site had answered the oldest of
    the pages fetched again; 0 if it was still answering them all.
    """

    killed_at: float
    allowed: Counter[str]
    again: Counter[str] = field(default_factory=Counter)
    oldest_seconds: float = 0.0


def settled(hits: Iterable[Hit]) -> Counter[str]:
    """How often each page was asked for and no retry was due."""
    return Counter(hit.key for hit in hits if hit.is_settled and not hit.url.startswith(NOT_PAGES))


def allowed_at(hits: Iterable[Hit], since: float, until: float) -> Counter[str]:
    """What the site was answering when a run ended, or had answered since a moment."""
    return Counter(
        hit.key
        for hit in hits
        if hit.asked_at <= until and (hit.answered_at is None or hit.answered_at >= since)
    )


def age(key: str, kill: Refetch, hits: Iterable[Hit]) -> float:
    """Seconds between the site's last answer of a page and a kill; 0 if it had none yet."""
    before = [hit for hit in hits if hit.key == key and hit.asked_at <= kill.killed_at]
    answers = [hit.answered_at or kill.killed_at for hit in before]
    return kill.killed_at - min(max(answers, default=kill.killed_at), kill.killed_at)


def refetched(
    plain: Sequence[Hit],
    resumed: Sequence[Hit],
    runs: Sequence[Run],
    just_seconds: float = COMMIT_SECONDS + PROCESSING_SECONDS,
) -> tuple[list[Refetch], Counter[str]]:
    """What each kill cost, and what was fetched again though no kill explains it.

    A page counts as fetched again as far as it was asked for more often than by the
    plain run; 503s and dropped connections, after which a retry is due, don't count.
    """
    kills = [
        Refetch(run.killed_at, allowed_at(resumed, run.killed_at - just_seconds, run.ended_at))
        for run in runs
        if run.killed_at is not None
    ]
    extra = settled(resumed) - settled(plain)
    for key in list(extra):
        for kill in kills:
            asked_later = any(h.key == key and h.asked_at > kill.killed_at for h in resumed)
            blamed = min(extra[key], kill.allowed[key]) if asked_later else 0
            if blamed:
                kill.again[key] += blamed
                kill.oldest_seconds = max(kill.oldest_seconds, age(key, kill, resumed))
                extra[key] -= blamed
    return kills, +extra


@dataclass(frozen=True)
class Verdict:
    """All that there is to say of a crawl that was interrupted and resumed."""

    expected: int
    lost: Counter[str]
    twice: Counter[str]
    corrupt: list[str]
    never_fetched: Counter[str]
    kills: list[Refetch]
    unexplained: Counter[str]

    @property
    def is_clean(self) -> bool:
        faults = (self.lost, self.twice, self.corrupt, self.never_fetched, self.unexplained)
        return not any(faults)

    def __str__(self) -> str:
        costs = ", ".join(f"{k.again.total()} of {k.allowed.total()}" for k in self.kills)
        return (
            f"expected {self.expected} items: lost {_examples(self.lost)}, "
            f"twice {_examples(self.twice)}, corrupt {self.corrupt or 0}, "
            f"never fetched {_examples(self.never_fetched)}, fetched again per kill: "
            f"{costs or 'no kill'}, unexplained {_examples(self.unexplained)}"
        )


@dataclass(frozen=True)
class Truth:
    """What a plain run gave: its items and the site's hits."""

    items: Counter[str]
    hits: list[Hit]


def verdict(
    truth: Truth, items: Counter[str], hits: Sequence[Hit], runs: Sequence[Run], store: Path
) -> Verdict:
    difference = compare(truth.items, items)
    kills, unexplained = refetched(truth.hits, hits, runs)
    fetched = settled(hit for hit in hits if hit.status != 0)
    return Verdict(
        expected=truth.items.total(),
        lost=difference.lost,
        twice=difference.twice,
        corrupt=damaged_files(store),
        never_fetched=settled(truth.hits) - fetched,
        kills=kills,
        unexplained=unexplained,
    )
