"""A feed's record in the store leads to a file of that feed, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.recorded_place import is_of_feed


def fits(template: str, uri: str, path: object = None, **parameters: object) -> bool:
    record = FeedRecord(uri=uri, options="", path=None if path is None else str(path))
    return is_of_feed(record, template, lambda text: text % parameters)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("out.csv", "out.csv"),
        ("/data/out.csv", "/data/out.csv"),
        ("a%20b.csv", "a%20b.csv"),
        ("out-%(time)s.csv", "out-2024-01-01T00-00-00+00-00.csv"),
        ("out-%(batch_id)05d.csv", "out-00012.csv"),
        ("%(name)s/%(batch_time)s.csv", "books/2024-01-01T00-00-00.csv"),
        ("%(name)s/out.csv", "comics/out.csv"),
        ("%(place)s/out.csv", "/srv/feeds/out.csv"),
        ("s3://shop/%(name)s.csv", "s3://shop/books.csv"),
    ],
)
def test_the_feed_s_own_files_are_known(template: str, uri: str) -> None:
    assert fits(template, uri, name="books", place="/srv/feeds")


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("out.csv", "/etc/cron.d/out.csv"),
        ("out.csv", "out.csv\n"),
        ("out.csv", "../out.csv"),
        ("out.csv", "file:///etc/out.csv"),
        ("out-%(time)s.csv", "out-/../../etc/x.csv"),
        ("out-%(time)s.csv", "out-1.py"),
        ("%(name)s/out.csv", "../out.csv"),
        ("%(name)s/out.csv", "/etc/out.csv"),
        ("%(name)s/out.csv", "a/b/out.csv"),
        ("%(name)s.csv", ".bashrc.csv"),
        ("s3://shop/%(name)s.csv", "s3://evil/books.csv"),
        ("s3://shop/%(name)s.csv", "file:///etc/books.csv"),
    ],
)
def test_another_file_is_not(template: str, uri: str) -> None:
    assert not fits(template, uri, name="books")


def test_the_file_in_place_of_a_changed_one_lies_beside_it(tmp_path: Path) -> None:
    uri = str(tmp_path / "out.csv")
    for name in ("out.resumed.csv", "out.resumed-2.csv", "out.resumed.resumed.csv"):
        assert fits(uri, uri, tmp_path / name)
        assert fits(f"file://{uri}", f"file://{uri}", tmp_path / name)
    for path in (
        "/etc/passwd",
        tmp_path / "other.csv",
        tmp_path / "out.csv",
        tmp_path / "out.resumed.py",
        tmp_path / "sub" / "out.resumed.csv",
        tmp_path.parent / "out.resumed.csv",
        tmp_path / "out.resumed-2/../../x.csv",
    ):
        assert not fits(uri, uri, path)
