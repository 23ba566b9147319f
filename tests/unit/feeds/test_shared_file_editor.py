from __future__ import annotations

from pathlib import Path

from scrapy_resume.feeds.shared_file_editor import rewrite


def test_a_rewritten_file_has_new_bytes_in_the_place_of_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"before")
    path.chmod(0o640)
    new = path.with_name("new")
    new.write_bytes(b"NEW")
    with new.open("rb") as insert:
        rewrite(path, path.with_name("copy"), [(1, 3)], insert)
    assert path.read_bytes() == b"bNEWore"
    assert path.stat().st_mode & 0o777 == 0o640
