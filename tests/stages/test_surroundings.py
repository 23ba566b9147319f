"""Where stages run: in the processes of a task queue, which are forked and live long."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from scrapy_resume import open_store

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import multiprocessing, sys
from scrapy_resume import Stage

def works(name):  # what a task of Celery is: a function that a process calls now and then
    with Stage(name, store=sys.argv[1], mode="once") as stage:
        counts = stage.map(lambda number: {"number": number}, range(5), name="numbers")
    return stage.status, counts["done"]

assert works("before") == ("completed", 5)  # its threads are not in the children
names = ["job-0", "job-1", "job-2", "job-3"]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(works, names, chunksize=1) == [("completed", 5)] * 4
    assert pool.apply(works, ("job-0",)) == ("completed", 0)
    pool.close()
    pool.join()
"""


def test_a_forked_process_runs_one_stage_after_the_other(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=50)
    jobs = {one["job"] for one in open_store(tmp_path).jobs()}
    assert jobs == {"before", "job-0", "job-1", "job-2", "job-3"}
