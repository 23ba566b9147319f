"""Every command that acts, on every status of a job, as text and as JSON: output and exit code."""

from __future__ import annotations

import json

import pytest

STATUSES = [
    "initialized",
    "running",
    "crashed",
    "recovering",
    "paused",
    "cancelled",
    "failed",
    "completed",
    "damaged",
    "newer",
]
READABLE = frozenset(STATUSES) - {"damaged", "newer"}
COMMANDS = {
    "retry": ["retry", "books"],
    "park": ["park", "books", "--host", "127.0.0.1"],
    "skip": ["skip", "books", "--url", "*/page/2"],
    "run": ["run", "books", "--dry-run"],
    "stop": ["stop", "books", "--timeout", "0"],
    "recover": ["recover", "books"],
    "reset": ["reset", "books", "--yes"],
    "clean": ["clean", "--days", "0"],
    "backup": ["backup", "books", "copy"],
    "verify": ["verify", "books"],
}
KEYS = {
    "retry": {"job", "requests", "dry_run"},
    "park": {"job", "requests", "dry_run"},
    "skip": {"job", "requests", "dry_run"},
    "stop": {"job", "asked", "stopped", "status", "reason", "seconds"},
    "recover": {"job", "workers", "requests", "parked", "alive", "status"},
    "reset": {"deleted", "left"},
    "clean": {"deleted", "left"},
    "backup": {"job", "file", "bytes"},
    "verify": {"job", "checks", "violations"},
}
LAUNCH = {"command": "runspider", "file": __file__, "directory": "/"}

FAILS = {
    "run": {"running"},  # it is being crawled
    "reset": {"running"},
}
"""Beside what cannot be read, on which all fail."""


def prepare(shelf, status: str) -> object:
    """A job of that status; what has to be done meanwhile."""
    job = shelf.begin(launch=LAUNCH)
    shelf.crawl(job, done=[[{"a": 1}]], failed=["boom"], pending=1, leased=1)
    if status in ("crashed", "recovering"):
        shelf.crash(job)
    elif status != "running":
        reached = status if status in ("paused", "cancelled", "failed") else "paused"
        shelf.close(job, reached, "a reason")
    if status in ("initialized", "recovering", "completed"):
        shelf.set_status("books", status)
    if status == "damaged":
        shelf.damage("books")
    if status == "newer":
        shelf.make_newer("books")
    return job


@pytest.mark.parametrize(
    ("status", "form"),
    [(status, "json") for status in STATUSES]
    + [(status, "text") for status in ("running", "crashed", "completed", "damaged")],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_and_exit_code_are_as_documented(shelf, call, name, status, form):
    job = prepare(shelf, status)
    words = [*COMMANDS[name], *(["--json"] if form == "json" else [])]
    if status == "running" and name in ("retry", "park", "skip"):
        with shelf.listening(job):
            answer = call(*words)
    else:
        answer = call(*words)
    fails = status not in READABLE or status in FAILS.get(name, ())
    if name == "clean" and status in ("damaged", "newer"):
        assert "left alone" in answer.err
    if name == "verify" and status == "completed":
        fails = True  # something is open of it, as ``prepare`` has made it
    assert answer.code == int(fails), answer
    assert answer.err.count("\n") == int(fails), answer
    assert "Traceback" not in answer.err
    if form == "json" and answer.out:
        document = json.loads(answer.out)
        if name == "run":
            assert document["job"] == "books#1"
            # There is nothing to go on with, which is no plan but an end.
            assert (document.get("reason") == "a reason") == (status == "completed")
        else:
            assert document.keys() == KEYS[name]
    elif form == "json":
        assert fails, "a document is there unless the command fails"
    elif not fails and name != "clean":
        assert "books" in answer.out
    if name in ("reset", "clean"):
        left = list(shelf.directory.glob("*.sqlite3"))
        deleted = not fails and (name == "reset" or status == "completed")
        assert bool(left) != deleted
