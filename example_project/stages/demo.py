"""A pipeline that is killed in each of its stages and loses nothing: `python stages/demo.py`.

Starts the shop and `pipeline.py`, kills that in its crawl, in its validation and in its enrichment,
starts it again each time, and compares what the last stage has written with what the shop sells.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shop_site import expected_products

from scrapy_resume import open_store
from scrapy_resume.errors import JobNotFoundError

HERE = Path(__file__).resolve().parent

KILLS = (("books", 0.5), ("validate", 0.3), ("enrich", 0.2), ("enrich", 0.6))
"""The pipeline is killed when this share of the books has come through that stage."""

LIMIT_SECONDS = 120.0
POLL_SECONDS = 0.02


def main() -> int:
    """The exit code: 0 if every book is there once."""
    books = len(expected_products(""))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        feed = Path(folder) / "enriched.jsonl"
        words = [sys.executable, str(HERE.parent / "shop_site.py"), "--port", "0"]
        words += ["--latency", "0.005", "--hits", str(Path(folder) / "hits.jsonl")]
        shop = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert shop.stdout is not None
            site = shop.stdout.readline().split()[-1]
            for stage, share in KILLS:
                run(site, feed, folder, stage, int(share * books))
            code = run(site, feed, folder, None, 0)
        finally:
            shop.kill()
            shop.wait()
        enriched = [json.loads(line) for line in feed.read_text().splitlines()]
        counts = Counter(book["isbn"] for book in enriched)
        words = [sys.executable, "-m", "scrapy", "resume", "report"]
        words += ["-s", f"RESUME_STORE={folder}/store"]
        subprocess.run(words, cwd=HERE.parent, check=False)
        twice = sum(count > 1 for count in counts.values())
        print(f"{len(counts)} of {books} books enriched, {twice} twice, through {len(KILLS)} kills")
        return int(code != 0 or len(counts) != books or twice > 0)


def run(site: str, feed: Path, folder: str, stage: str | None, at: int) -> int:
    """Run the pipeline, and kill it when so many books are through a stage. Its exit code."""
    settings = Path(folder) / "demo_settings.py"
    settings.write_text(
        f"from shop.settings import *\nRESUME_STORE = {folder + '/store'!r}\nLOG_ENABLED = False\n"
    )
    environment = {
        **os.environ,
        "SCRAPY_SETTINGS_MODULE": "demo_settings",
        "PYTHONPATH": os.pathsep.join((folder, str(HERE.parent))),
    }
    words = [sys.executable, str(HERE / "pipeline.py"), site, str(feed)]
    with subprocess.Popen(
        words, cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + LIMIT_SECONDS
        while stage is not None and process.poll() is None and time.monotonic() < deadline:
            if done(f"{folder}/store", stage) >= at:
                process.kill()
                print(f"killed in {stage}, when {at} were through", flush=True)
                break
            time.sleep(POLL_SECONDS)
        _, errors = process.communicate(timeout=LIMIT_SECONDS)
        if stage is None and process.returncode:
            print(errors.decode(), file=sys.stderr)
        return process.returncode


def done(store: str, stage: str) -> int:
    """How many items a stage has stored."""
    try:
        stored: int = open_store(store).job(stage)["items"]["stored"]
    except JobNotFoundError:
        return 0
    return stored


if __name__ == "__main__":
    sys.exit(main())
