from __future__ import annotations

import shlex

SPIDER = "class Books(Spider):\n    name = 'books'\n"


def test_a_setting_that_is_refused_is_written_as_a_shell_takes_it(shelf, call, tmp_path):
    file = tmp_path / "books.py"
    file.write_text(SPIDER)
    (tmp_path / "old.csv").write_text("somebody's")
    feeds = '{"old.csv": {"format": "csv"}}'
    launch = {"command": "runspider", "file": str(file), "directory": str(tmp_path)}
    job = shelf.begin(launch={**launch, "settings": {"FEEDS": feeds}})
    shelf.crawl(job, pending=1)
    shelf.close(job, "paused", "shutdown")
    answer = call("run")
    assert answer.code == 1
    said, _, after = answer.err.partition("may not be yours: ")[2].partition(". If they are, ")
    assert "give the settings again, as they stand here" in after
    assert shlex.split(said)[-2:] == ["-s", f"FEEDS={feeds}"]
    answer = call("run", "--dry-run", "-s", f"FEEDS={feeds}")
    assert answer.code == 0
    assert "FEEDS" not in answer.out.partition("\n#")[2]
