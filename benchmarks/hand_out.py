"""What it costs to choose the next request where a worker owns very many download slots.

    python benchmarks/hand_out.py --slots 10 10000 100000

Each slot has two leased requests in memory. As many are handed out as there are slots, ten thousand
at least; a slot gets one back for each that was taken. Sixteen slots have a download in progress,
others each time. Printed is the CPU of a hand-out without the store, in milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from tests.support.rows import leased
from tests.support.tables import table

ACTIVE = 16
LEAST = 10_000


def milliseconds(slots: int) -> float:
    """CPU of a hand-out."""
    buffer = LeaseBuffer(concurrency=ACTIVE, by_slot=True, pending={}, owns_slots=True)
    names = [f"host-{number}.example" for number in range(slots)]
    assert buffer.owned is not None
    buffer.owned.update(names)
    rows = [leased(number, names[number % slots]) for number in range(2 * slots)]
    for row in rows:
        buffer.push(row)
    active = deque([""] * ACTIVE)
    count = max(LEAST, slots)
    began = time.process_time()
    for _ in range(count):
        row = buffer.next_row(active.count)
        assert row is not None
        active.popleft()
        active.append(row.slot)
        buffer.push(row)
    return 1e3 * (time.process_time() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="+", default=[10, 1_000, 10_000, 100_000])
    options = parser.parse_args()
    rows = [[f"{slots:,}", f"{milliseconds(slots):.4f}"] for slots in options.slots]
    print(table(("slots owned", "ms of CPU a hand-out"), rows))


if __name__ == "__main__":
    main()
