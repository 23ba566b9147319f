"""How long hosts take to answer: counted by host in steps of a factor, so that what is kept does
not grow with the responses, and the counts of several runs can be added up.

A quantile that is read from them is at most 20 % off. The time is Scrapy's ``download_latency``:
from the first byte that is sent to the end of the headers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

FIRST_SECONDS: Final = 0.005
FACTOR: Final = 2**0.5
BOUNDS: Final = tuple(FIRST_SECONDS * FACTOR**at for at in range(31))
"""Upper bounds of the steps, in seconds: 5 ms to 164 s. What takes longer is in one more."""
HOSTS_AT_MOST: Final = 20
"""Hosts that are counted by themselves: those that answered first."""
OTHERS: Final = ""
"""The name of the other hosts."""
KEPT: Final = "host_latency"
"""Where they are kept among the custom stats of a run."""

Counts = dict[str, dict[str, int]]
"""Host → step, as text → responses."""


class Latencies:
    """Those of this run."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, host: str, seconds: float | None) -> None:
        """A host has answered; ``None``: nobody measured how long it took."""
        if seconds is None:
            return
        if host not in self._counts and len(self._counts) >= HOSTS_AT_MOST:
            host = OTHERS
        counts = self._counts.get(host)
        if counts is None:
            counts = self._counts[host] = [0] * (len(BOUNDS) + 1)
        counts[bisect_left(BOUNDS, seconds)] += 1

    def counts(self) -> Counts:
        """As they are now; steps without responses are left out."""
        return {
            host: {str(step): count for step, count in enumerate(counts) if count}
            for host, counts in self._counts.items()
        }


def latencies_of(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of all runs, by host, those with most responses first: ``host`` (empty: others), ``count``,
    ``median_seconds`` and ``p95_seconds``."""
    total: dict[str, Counter[int]] = {}
    for run in runs:
        for host, counts in run.get("custom", {}).get(KEPT, {}).items():
            of_host = total.setdefault(host, Counter())
            for step, count in counts.items():
                of_host[int(step)] += count
    found = [
        {
            "host": host,
            "count": counts.total(),
            "median_seconds": _quantile(counts, 0.5),
            "p95_seconds": _quantile(counts, 0.95),
        }
        for host, counts in total.items()
    ]
    return sorted(found, key=lambda row: (row["host"] == OTHERS, -row["count"], row["host"]))


def _quantile(counts: Counter[int], share: float) -> float:
    """In seconds: the middle, as of a factor, of the step in which it is."""
    wanted, before = share * counts.total(), 0
    for step in sorted(counts):
        before += counts[step]
        if before >= wanted:
            break
    return float(BOUNDS[min(step, len(BOUNDS) - 1)] / FACTOR**0.5)
