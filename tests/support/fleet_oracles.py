"""What a fleet's crawl is held against: the pages that there are, and the site's hit log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.support.hosts_site import HostHit

JUST_SECONDS = 1.0
"""What the site had answered so shortly before a worker died may not have been finished."""

ARRIVES_SECONDS = 0.5
"""What a worker had sent before it died comes to the site no later."""

EXAMPLES = 8


@dataclass(frozen=True)
class Death:
    """A worker that was killed, or stopped, at a moment of the monotonic clock."""

    worker: str
    at: float
    in_hand: int = 0
    """So many of the requests that it had sent last may not have been finished: on a busy machine
    a commit takes as long as some rounds of requests. (Those of ``JUST_SECONDS`` in any case.)"""


def most_at_once(hits: Iterable[HostHit], host: str) -> int:
    """The most requests that a host was answering at a time."""
    changes = []
    for hit in hits:
        if hit.host == host:
            changes.append((hit.asked_at, 1))
            changes.append((float("inf") if hit.answered_at is None else hit.answered_at, -1))
    most = now = 0
    for _, change in sorted(changes):  # at equal times, answers come first
        now += change
        most = max(most, now)
    return most


def came(hit: HostHit) -> float:
    return hit.asked_at


def was_sent(hit: HostHit) -> float:
    return hit.said_sent_at


def shortest_gap(
    hits: Iterable[HostHit], host: str, when: Callable[[HostHit], float] = came
) -> float:
    """Seconds between two requests to a host that followed each other; infinite if none did.

    ``when=came``: as the site saw them, and so with what the event loop, the network and a busy
    machine add to one and not to the other. ``when=was_sent``: as the workers' downloaders let
    them go, as they say in a header.
    """
    moments = sorted(when(hit) for hit in hits if hit.host == host)
    return min((later - earlier for earlier, later in pairwise(moments)), default=float("inf"))


def at_a_time(hits: Iterable[HostHit], host: str) -> list[tuple[HostHit, HostHit]]:
    """Pairs of requests of different workers that a host was answering at the same time."""
    mine = sorted((hit for hit in hits if hit.host == host), key=came)
    return [
        (one, other)
        for place, one in enumerate(mine)
        for other in mine[place + 1 :]
        if one.worker != other.worker and one.was_in_flight(other.asked_at)
    ]


def by_page(hits: Iterable[HostHit]) -> dict[int, list[HostHit]]:
    """The requests for each page, in the order in which they came."""
    found: dict[int, list[HostHit]] = defaultdict(list)
    for hit in sorted(hits, key=came):
        found[hit.page].append(hit)
    return dict(found)


def in_hand(hit: HostHit, death: Death) -> bool:
    """Whether a worker had asked for it, and cannot have finished it, when it died."""
    if hit.worker != death.worker or hit.asked_at > death.at + ARRIVES_SECONDS:
        return False
    return hit.answered_at is None or hit.answered_at >= death.at - JUST_SECONDS


def fetched_again(hits: Iterable[HostHit]) -> dict[int, list[HostHit]]:
    """The pages that the site was asked for more than once."""
    return {page: asked for page, asked in by_page(hits).items() if len(asked) > 1}


def unexplained(hits: Iterable[HostHit], deaths: Sequence[Death]) -> list[str]:
    """Pages that were fetched again though no worker died with them in hand."""
    faults = []
    every = list(hits)
    excused = {hit.number for death in deaths for hit in sent_last(every, death)}
    for page, asked in fetched_again(every).items():
        for hit in asked[:-1]:
            if hit.number not in excused and not any(in_hand(hit, death) for death in deaths):
                history = ", ".join(f"{one.worker} at {one.asked_at:.3f}" for one in asked)
                faults.append(f"page {page} on {hit.host}: asked for by {history}")
                break
    return faults


def sent_last(hits: Sequence[HostHit], death: Death) -> list[HostHit]:
    """What a worker had sent last before it died, as many requests as it may have had in hand."""
    sent = [hit for hit in hits if hit.worker == death.worker and hit.asked_at <= death.at]
    return sorted(sent, key=came)[len(sent) - min(len(sent), death.in_hand) :]


def seconds_until_back(hits: Sequence[HostHit], death: Death) -> list[float]:
    """For each page that a worker had in hand when it died and that was fetched again: how long
    after the death. Ascending; empty if there was none."""
    seconds = []
    for asked in by_page(hits).values():
        for hit, following in pairwise(asked):
            if in_hand(hit, death) and following.asked_at > death.at:
                seconds.append(following.asked_at - death.at)
    return sorted(seconds)


BY_ITSELF = 2
"""How many times its limit plain Scrapy by itself may have a host answer at a time: requests that
its downloader lets go in one turn do not count each other yet (three were seen where the limit was
two). What tells two workers from one is who asks."""


@dataclass(frozen=True)
class Rules:
    """What one worker alone would keep to on each host.

    The delay is measured where it is kept, by when the downloaders let requests go: where they
    arrive, plain Scrapy's own are closer together (``fleet_downloader``). ``jitter_seconds`` is
    by how much clocks and timers may make it look shorter.
    """

    most_at_once: int
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.010

    def broken(self, hits: Sequence[HostHit]) -> list[str]:
        """One line for each host on which they were not kept."""
        faults = []
        for host in sorted({hit.host for hit in hits}):
            most = most_at_once(hits, host)
            if most > self.most_at_once * BY_ITSELF:
                faults.append(f"{host} was answering {most} at a time")
            for one, other in at_a_time(hits, host)[:1]:
                faults.append(
                    f"{host} was answering two workers at a time: {told(one)}; {told(other)}"
                )
            gap = shortest_gap(hits, host, was_sent)
            if gap < self.delay_seconds - self.jitter_seconds:
                faults.append(
                    f"{host} had two requests {gap:.3f} s apart ({closest(hits, host)}); the "
                    f"closest came {shortest_gap(hits, host):.3f} s apart"
                )
        return faults


def told(hit: HostHit) -> str:
    """A request, who had sent it, and when."""
    until = "never" if hit.answered_at is None else f"{hit.answered_at:.3f}"
    return f"page {hit.page} by {hit.worker} sent {hit.said_sent_at:.3f}, answered {until}"


def closest(hits: Sequence[HostHit], host: str) -> str:
    """The two requests to a host that were sent with the shortest gap."""
    mine = sorted((hit for hit in hits if hit.host == host), key=was_sent)
    one, other = min(pairwise(mine), key=lambda pair: was_sent(pair[1]) - was_sent(pair[0]))
    return f"{told(one)}, then {told(other)}"


@dataclass(frozen=True)
class FleetVerdict:
    """All that there is to say of a fleet's crawl; ``back`` is worker → seconds, see above."""

    expected: int
    lost: Counter[int]
    twice: Counter[int]
    never_fetched: set[int]
    again: int
    unexplained: list[str]
    broken_rules: list[str]
    back: Mapping[str, list[float]] = field(default_factory=dict)
    deaths: Sequence[Death] = ()

    @property
    def is_whole(self) -> bool:
        """No item is lost, none is there twice."""
        return not (self.lost or self.twice or self.never_fetched)

    @property
    def is_clean(self) -> bool:
        """Whole; and nothing was fetched again, or impolitely, without a reason."""
        return self.is_whole and not self.unexplained and not self.broken_rules

    def __str__(self) -> str:
        deaths = ", ".join(f"{death.worker} at {death.at:.3f}" for death in self.deaths)
        back = ", ".join(
            f"{worker} after {seconds[0]:.1f} to {seconds[-1]:.1f} s ({len(seconds)} pages)"
            for worker, seconds in self.back.items()
            if seconds
        )
        return (
            f"expected {self.expected} items: lost {examples(self.lost)}, "
            f"twice or unknown {examples(self.twice)}, "
            f"never fetched {sorted(self.never_fetched)[:EXAMPLES] or 0}; "
            f"{self.again} fetched again, {listed(self.unexplained)} of them unexplained; "
            f"rules broken: {listed(self.broken_rules)}; died: {deaths or 'none'}; "
            f"orphans back: {back or 'there were none'}"
        )


def examples(pages: Counter[int]) -> str:
    return f"{pages.total()} {sorted(pages)[:EXAMPLES]}" if pages else "0"


def listed(faults: Sequence[str]) -> str:
    more = f" and {len(faults) - EXAMPLES} more" if len(faults) > EXAMPLES else ""
    return f"{len(faults)} ({'; '.join(faults[:EXAMPLES])}{more})" if faults else "0"


def fleet_verdict(
    expected: Iterable[int],
    items: Counter[int],
    hits: Sequence[HostHit],
    deaths: Sequence[Death] = (),
    rules: Rules | None = None,
) -> FleetVerdict:
    """``expected`` are the numbers of all pages, ``items`` those that the store's items name."""
    wanted = Counter(expected)
    return FleetVerdict(
        expected=wanted.total(),
        lost=wanted - items,
        twice=items - wanted,
        never_fetched=set(wanted) - {hit.page for hit in hits},
        again=sum(len(asked) - 1 for asked in fetched_again(hits).values()),
        unexplained=unexplained(hits, deaths),
        broken_rules=[] if rules is None else rules.broken(hits),
        back={death.worker: seconds_until_back(hits, death) for death in deaths},
        deaths=deaths,
    )
