"""Storages that upload when the crawl closes: they get all items since the job began."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from .conftest import NewCrawl
from .runs import GZIP, Crawl, Live

LIMIT_SECONDS = 120
"""Until a server listens; a busy machine takes long to import one."""

BUCKET = "feeds"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def served(port: int, *words: str, log: Path) -> Iterator[None]:
    """A server as a process of its own, which listens by now."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                code, said = process.poll(), log.read_text()
                assert code is None, f"{words[0]} ended with exit code {code}: {said}"
                late = time.monotonic() > deadline
                assert not late, f"{words[0]} did not listen in {LIMIT_SECONDS} s: {said}"
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    with served(port, "moto.server", "-H", "127.0.0.1", "-p", str(port), log=log):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(s3_url: str) -> Any:
    resource = boto3.resource(
        "s3",
        endpoint_url=s3_url,
        region_name="us-east-1",
        **{name.lower(): value for name, value in KEYS.items()},
    )
    bucket = resource.Bucket(BUCKET)
    bucket.create()
    bucket.objects.delete()
    return bucket


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The server's address with the user, and its folder."""
    port, folder = free_port(), tmp_path / "ftp"
    folder.mkdir()
    words = ["pyftpdlib", "-i", "127.0.0.1", "-p", str(port), "-w", "-d", str(folder)]
    with served(port, *words, "-u", "user", "-P", "secret", log=tmp_path / "ftp.log"):
        yield f"ftp://user:secret@127.0.0.1:{port}", folder


def killed(crawl: Crawl, signum: signal.Signals = signal.SIGKILL, items: int = 10) -> None:
    """Signalled once the store has so many more items."""

    def kill(live: Live) -> None:
        live.logged("Spider opened")
        wanted = crawl.items_stored() + items
        live.until(lambda: crawl.items_stored() >= wanted)
        live.send(signum)

    crawl.run(kill=kill)


@pytest.mark.parametrize(
    ("first", "suffix"),
    [
        (signal.SIGKILL, ""),
        (signal.SIGTERM, ".gz"),
        pytest.param(signal.SIGKILL, ".gz", marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, "", marks=pytest.mark.soak),
    ],
)
def test_an_object_in_s3_holds_all_items(
    new_crawl: NewCrawl,
    whole: Counter[str],
    s3_url: str,
    bucket: Any,
    first: signal.Signals,
    suffix: str,
) -> None:
    options = {"format": "jsonlines"} | ({"postprocessing": [GZIP]} if suffix else {})
    settings = {**KEYS, "AWS_ENDPOINT_URL": s3_url, "AWS_REGION_NAME": "us-east-1"}
    feed = f"s3://{BUCKET}/shop/items.jsonl{suffix}"
    crawl = new_crawl(feed=feed, options=options, settings=settings)
    killed(crawl, first)
    paused = [o.key for o in bucket.objects.all()]
    assert paused == ([] if first is signal.SIGKILL else [f"shop/items.jsonl{suffix}"])
    killed(crawl)
    crawl.run_to_the_end()
    (stored,) = bucket.objects.all()
    content = stored.get()["Body"].read()
    assert Counter(crawl.parsed(content)) == whole


@pytest.mark.soak
def test_batches_in_s3_that_a_kill_kept_from_their_upload_are_uploaded(
    new_crawl: NewCrawl, whole: Counter[str], s3_url: str, bucket: Any
) -> None:
    options = {"format": "jsonlines", "batch_item_count": 20}
    settings = {**KEYS, "AWS_ENDPOINT_URL": s3_url, "AWS_REGION_NAME": "us-east-1"}
    crawl = new_crawl(feed=f"s3://{BUCKET}/%(batch_id)d.jsonl", options=options, settings=settings)
    for items in (25, 50, 10):
        if not crawl.is_completed():
            killed(crawl, items=items)
    crawl.run_to_the_end()
    batches = [list(crawl.parsed(o.get()["Body"].read())) for o in bucket.objects.all()]
    assert [len(batch) for batch in batches] == [20] * 6
    assert sum(map(Counter, batches), Counter()) == whole


def test_a_file_on_an_ftp_server_holds_all_items(
    new_crawl: NewCrawl, ftp: tuple[str, Path]
) -> None:
    address, folder = ftp
    crawl = new_crawl(feed=f"{address}/out/items.csv", options={"format": "csv"})
    killed(crawl)
    killed(crawl, signal.SIGTERM)
    crawl.run_to_the_end()
    plain = new_crawl("plain", feed="items.csv", options={"format": "csv"})
    plain.run(plain=True)
    assert Counter(crawl.parsed((folder / "out" / "items.csv").read_bytes())) == plain.items()


def test_appending_to_a_file_on_an_ftp_server_appends_each_item_once(
    new_crawl: NewCrawl, whole: Counter[str], ftp: tuple[str, Path]
) -> None:
    address, folder = ftp
    options = {"format": "jsonlines", "overwrite": False}
    settings = {"DOWNLOAD_DELAY": 0.05}
    crawl = new_crawl(feed=f"{address}/items.jsonl", options=options, settings=settings)
    killed(crawl, signal.SIGTERM)
    paused = len((folder / "items.jsonl").read_bytes().splitlines())
    assert 0 < paused < 120
    killed(crawl)
    crawl.run_to_the_end()
    assert Counter(crawl.parsed((folder / "items.jsonl").read_bytes())) == whole


def test_a_server_that_is_out_leaves_the_job_to_be_gone_on_with(
    new_crawl: NewCrawl, tmp_path: Path
) -> None:
    crawl = new_crawl(feed=f"ftp://user:secret@127.0.0.1:{free_port()}/items.jsonl")
    log = crawl.run(code=1)
    assert "Error storing jsonl feed (120 items)" in log
    assert not crawl.is_completed()
