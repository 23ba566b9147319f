"""What is recorded of a request, whatever becomes of it."""

from __future__ import annotations

import shutil
import socket
from typing import Any

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.stores import on_postgres
from tests.support.wanderings import Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    return found


def rows_of(wanderings: Wanderings, *paths: str, **settings: Any) -> list[dict[str, Any]]:
    """The rows of the requests for these paths, after a crawl of them."""
    run = wanderings.run({"RETRY_TIMES": 2, **settings}, "-a", f"paths={','.join(paths)}")
    assert run.is_finished, run.tail()
    assert wanderings.job()["status"] == "completed"
    by_url = {row["url"].removeprefix(wanderings.site.url): row for row in wanderings.requests()}
    return [by_url[path] for path in paths]


def row_of(wanderings: Wanderings, path: str, **settings: Any) -> dict[str, Any]:
    (row,) = rows_of(wanderings, path, **settings)
    return row


def outcome(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["state"], row["http_status"], row["error"], row["attempts"]


def test_a_page_is_done(wanderings: Wanderings) -> None:
    row = row_of(wanderings, "/leaf/1")
    assert outcome(row) == ("done", 200, None, 1)
    assert row["error_message"] is None
    assert row["items"] == 1


def test_http_errors_that_mean_that_nothing_is_there_are_ignored_others_have_failed(
    wanderings: Wanderings,
) -> None:
    paths = ("/missing/1", "/gone/1", "/private/1", "/error/1")
    missing, gone, forbidden, error = rows_of(wanderings, *paths)
    assert outcome(missing) == ("ignored", 404, "HttpError", 1)
    assert outcome(gone) == ("ignored", 410, "HttpError", 1)
    assert outcome(forbidden) == ("failed", 403, "HttpError", 1)
    assert outcome(error) == ("failed", 500, "HttpError", 3), "with its two retries"
    assert error["error_message"] == "HTTP 500 Internal Server Error"
    assert forbidden["error_message"] == "HTTP 403 Forbidden"
    counts = wanderings.job()["requests"]
    assert (counts["ignored"], counts["failed"], counts["done"]) == (2, 2, 0)


def test_the_codes_that_are_ignored_are_a_setting(wanderings: Wanderings) -> None:
    paths = ("/missing/1", "/gone/1", "/private/1")
    rows = rows_of(wanderings, *paths, RESUME_IGNORED_HTTP_CODES="403,410")
    assert [row["state"] for row in rows] == ["failed", "ignored", "ignored"]


def test_what_robots_txt_forbids_is_ignored(wanderings: Wanderings) -> None:
    row = row_of(wanderings, "/secret/1", ROBOTSTXT_OBEY=True)
    assert outcome(row) == ("ignored", None, "IgnoreRequest", 1)
    assert "robots.txt" in row["error_message"]


def test_what_leads_offsite_is_not_even_admitted(wanderings: Wanderings) -> None:
    rows_of(wanderings, "/leaf/1", "/leaf/2?do=offsite")
    assert [row["state"] for row in wanderings.requests()] == ["done", "done"]


def test_a_redirect_to_what_must_not_be_scheduled_is_ignored(wanderings: Wanderings) -> None:
    row = row_of(wanderings, "/redirect/1?do=refuse")
    assert outcome(row) == ("ignored", None, "IgnoreRequest", 1)
    assert "request_scheduled" in row["error_message"]


def test_a_refused_connection_has_failed_after_its_retries(wanderings: Wanderings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/page/1"
        row = row_of(wanderings, url)
    assert row["state"] == "failed"
    assert row["http_status"] is None
    assert "Refused" in row["error"]
    assert row["attempts"] == 3
    assert row["error_message"]


def test_a_callback_that_raises_fails_its_request_and_keeps_what_it_gave(
    wanderings: Wanderings,
) -> None:
    row = row_of(wanderings, "/leaf/1?do=raise")
    assert outcome(row) == ("failed", 200, "ValueError", 1)
    assert row["error_message"] == f"{wanderings.site.url}/leaf/1?do=raise is odd"
    assert row["items"] == 1
    assert wanderings.titles() == {"leaf 1": 1}


def test_an_errback_that_handles_it_does_not_make_it_a_success(wanderings: Wanderings) -> None:
    error, missing = rows_of(wanderings, "/error/1?do=errback", "/missing/1?do=errback")
    assert outcome(error) == ("failed", 500, "HttpError", 3)
    assert outcome(missing) == ("ignored", 404, "HttpError", 1)
    assert error["items"] == missing["items"] == 1
    assert wanderings.titles() == {"HttpError": 2}


# One page a crawl: of a connection that was used before, and drops, the HTTP client makes a new one
# by itself.
@pytest.mark.parametrize(("path", "attempts"), [("/flaky/1?times=2", 3), ("/drop/1?times=1", 2)])
def test_attempts_count_retries_and_what_was_in_the_way_is_forgotten(
    wanderings: Wanderings, path: str, attempts: int
) -> None:
    assert outcome(row_of(wanderings, path)) == ("done", 200, None, attempts)
    assert wanderings.job()["success_rate"] == 1.0


def test_attempts_count_over_kills_and_a_survivor_is_cleared_of_them(
    wanderings: Wanderings,
) -> None:
    path = ("-a", "paths=/slow/1?seconds=0.5")
    assert wanderings.run({}, *path, kill=at_hits(1)).killed_at is not None
    assert wanderings.run({}, *path).is_finished
    (row,) = wanderings.requests()
    assert (row["state"], row["crashes"]) == ("done", 0)
    # What was handed out in the last tenth of a second before a death, a database may not know.
    assert row["attempts"] in ({1, 2} if on_postgres() else {2})


def test_what_a_suspect_leaves_in_memory_is_fetched_and_the_suspect_once(
    wanderings: Wanderings,
) -> None:
    path = ("-a", "paths=/slow/1?seconds=0.5&do=lambda")
    assert wanderings.run({}, *path, kill=at_hits(1)).killed_at is not None
    run = wanderings.run({"RESUME_CRASH_LIMIT": 1}, *path, timeout_seconds=30)
    assert run.is_finished, run.tail()
    assert wanderings.titles() == {"Slow 1": 1, "leaf below": 1}
    assert len([hit for hit in wanderings.site.hits() if hit.url.startswith("/slow")]) == 2


def test_what_comes_first_in_every_run_leaves_in_memory_what_is_fetched_before_its_end(
    wanderings: Wanderings,
) -> None:
    paths = "/leaf/1?do=lambda&do=first,/leaf/2"
    run = wanderings.run({}, "-a", f"paths={paths}", timeout_seconds=30)
    assert run.is_finished, run.tail()
    assert wanderings.titles() == {"leaf 1": 1, "leaf 2": 1, "leaf below": 1}


def test_a_redirect_keeps_its_row_and_one_to_what_is_known_is_ignored(
    wanderings: Wanderings,
) -> None:
    paths = ("/redirect/7?hops=2", "/page/7")
    run = wanderings.run({"CONCURRENT_REQUESTS": 1}, "-a", f"paths={','.join(paths)}")
    assert run.is_finished, run.tail()
    rows = {row["state"]: row for row in wanderings.requests()}
    assert set(rows) == {"done", "ignored"}
    assert rows["ignored"]["error"] == "duplicate"
    assert rows["ignored"]["http_status"] is None
    assert wanderings.titles() == {"Page 7": 1}


def test_a_request_from_memory_leaves_a_row_that_is_done(wanderings: Wanderings) -> None:
    anchor = row_of(wanderings, "/leaf/1?do=lambda")
    (below,) = (row for row in wanderings.requests() if row["url"].endswith("/leaf/below"))
    assert outcome(anchor) == outcome(below) == ("done", 200, None, 1)
    assert (below["unit"], below["items"]) == (anchor["unit"], 1)
    assert wanderings.job()["requests"]["total"] == 2
    assert wanderings.titles() == {"leaf 1": 1, "leaf below": 1}


def test_a_request_that_has_no_key_fails_the_callback_that_yields_it_and_nothing_waits_for_it(
    wanderings: Wanderings,
) -> None:
    """Python makes no text of an integer with more than 4,300 digits."""
    row = row_of(wanderings, "/leaf/1?do=badkey")
    assert outcome(row) == ("failed", 200, "ValueError", 1)
    assert [known["url"] for known in wanderings.requests()] == [row["url"]]
