"""Steps that the process dies of: found, run alone, parked; nothing that ran beside them is."""

from __future__ import annotations

import json
import signal

from tests.support.reactors import Mode, others_in_soak
from tests.support.steppings import Steppings

DEADLY = """

@step(max_attempts=1)
async def deadly(item):
    import os, signal
    note("deadly", item, alone=len(RUNNING) == 0, pages=PAGES[0])
    RUNNING.add(item["n"])
    try:
        await sleep(0.05)
        if item["n"] == 3:
            await sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        await sleep(0.6)
    finally:
        RUNNING.discard(item["n"])
    return {"lived": True}


RUNNING = set()
PAGES = [0]
"""


@others_in_soak
def test_a_step_that_kills_the_process_is_parked_and_no_other(
    steppings: Steppings, mode: Mode
) -> None:
    steppings.spider.write_text(steppings.spider.read_text() + DEADLY)
    items = [{"n": n} for n in range(6)]
    settings = {"RESUME_CRASH_LIMIT": 2, **mode.settings}
    runs = []
    for _ in range(6):
        runs.append(steppings.run(items, {"stepping.deadly": 1}, settings))
        if runs[-1].is_finished:
            break
        assert runs[-1].exit_code == -signal.SIGKILL, runs[-1].tail()
    assert runs[-1].is_finished, runs[-1].tail()
    assert len(runs) == 4, "two deaths beside others, one alone"
    lines = (steppings.place.path / "calls.jsonl").read_text().splitlines()
    deaths = [call for call in map(json.loads, lines) if call["n"] == 3]
    assert len(deaths) == 3
    assert deaths[-1]["alone"]
    fed = steppings.fed()
    assert {n for n, item in fed.items() if item.get("lived")} == {0, 1, 2, 4, 5}
    assert set(fed) == set(range(6)), "the item of the parked step is there, without its fields"
    assert steppings.job()["status"] == "completed"
