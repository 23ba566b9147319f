"""Who may ask what: Host, token, Origin; and what is shown of what the web says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from scrapy_resume.model import JobKey
from scrapy_resume.web.job_ids import job_id, job_key
from tests.commands.conftest import Shelf

from .conftest import MARK, ORIGIN, TOKEN, board_of, client_of
from .jobs import HOSTILE, hostile, shop, with_log

RETRY = "/api/jobs/books~1/retry"

EVERYTHING = ("/", "/api/jobs", "/metrics", "/stream", "/jobs/books~1", RETRY, "/nothing")


@pytest.mark.parametrize("path", EVERYTHING)
def test_nothing_is_told_without_the_token(stranger: TestClient, path: str) -> None:
    assert stranger.get(path).status_code == 401
    assert stranger.post(path, headers=MARK).status_code == 401


def test_health_needs_no_token(stranger: TestClient) -> None:
    assert stranger.get("/healthz").status_code == 200


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], f"{TOKEN} ", "\u00e9"])
def test_a_wrong_token_is_told_nothing(stranger: TestClient, given: str) -> None:
    assert stranger.get("/", params={"token": given}).status_code == 401
    assert "set-cookie" not in stranger.get("/", params={"token": given}).headers
    headers = {"Authorization": b"Bearer " + given.encode()}
    if given.strip() != TOKEN:
        assert stranger.get("/api/jobs", headers=headers).status_code == 401


def test_the_token_is_swapped_for_a_cookie_that_scripts_and_other_sites_do_not_get(
    stranger: TestClient,
) -> None:
    answer = stranger.get("/jobs/a~1", params={"token": TOKEN, "state": "failed"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/jobs/a~1?state=failed"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/a", "/\\evil.example", "///e"])
def test_the_token_leads_to_no_other_site(stranger: TestClient, path: str) -> None:
    target = stranger.get(f"{ORIGIN}{path}", params={"token": TOKEN}).headers["location"]
    assert re.match(r"/(?![/\\])", target), target


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8070", "127.0.0.1.evil.example", "localhost.evil.example",
        "192.168.1.7:8070", "0.0.0.0:8070", "", "127.0.0.1@evil.example", "evil.example#127.0.0.1",
        "127.0.0.1:x", "127.0.0.1/../evil", "[::1", "2130706433",
    ],
)  # fmt: skip
def test_a_forged_or_rebound_host_is_told_nothing(client: TestClient, host: str) -> None:
    for path in ("/", "/api/jobs", "/healthz", "/static/app.js"):
        assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9999", "[::1]:8070", "LOCALHOST:1"])
def test_a_loopback_host_is_served_whatever_the_port_of_a_tunnel(
    client: TestClient, host: str
) -> None:
    assert client.get("/api/jobs", headers={"Host": host}).status_code == 200


def test_a_host_is_served_that_was_allowed(shelf: Shelf) -> None:
    with client_of(board_of(shelf, hosts=frozenset({"crawls.example"}))) as client:
        assert client.get("/", headers={"Host": "Crawls.Example."}).status_code == 200
        assert client.get("/", headers={"Host": "10.0.0.7"}).status_code == 421
    with client_of(board_of(shelf, hosts=frozenset({"*"}))) as client:
        assert client.get("/", headers={"Host": "10.0.0.7:8070"}).status_code == 200
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**MARK, "Origin": "https://evil.example"},
        {**MARK, "Origin": "null"},
        {**MARK, "Origin": "http://127.0.0.1:9999"},
        {**MARK, "Origin": "http://127.0.0.1:8070.evil.example"},
        {**MARK, "Sec-Fetch-Site": "cross-site"},
        {**MARK, "Sec-Fetch-Site": "same-site"},
        {"X-Scrapy-Resume": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_what_another_site_could_send_changes_nothing(
    shelf: Shelf, client: TestClient, headers: dict[str, str]
) -> None:
    shop(shelf)
    assert client.post(RETRY, headers=headers).status_code == 403
    assert client.get("/api/jobs/books~1").json()["requests"]["failed"] == 9


def test_an_action_of_the_page_itself_is_let_through(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    headers = {**MARK, "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    assert client.post(RETRY, headers=headers).json()["requests"] == 9


def test_a_reader_may_change_nothing(shelf: Shelf) -> None:
    shop(shelf)
    with client_of(board_of(shelf, read_only=True)) as client:
        for action in ("retry", "park", "skip", "stop", "recover"):
            assert client.post(f"/api/jobs/books~1/{action}", headers=MARK).status_code == 403
        page = client.get("/jobs/books~1/requests").text
        assert "data-bulk" not in page
        assert "data-action" not in client.get("/jobs/books~1/failures").text
        assert "read-only" in page


def test_no_other_method_is_known(client: TestClient) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert client.request(method, "/", headers=MARK).status_code == 405
    assert client.post("/", headers=MARK).status_code == 405
    assert client.get(RETRY).status_code == 405


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/app.js", "/nothing", "/api/jobs"])
def test_every_answer_forbids_what_is_from_elsewhere(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


IDS = [
    "../books~1", "..%2f..%2fetc~1", "%2e%2e", ".~1", "..~1", "books~1/../../x", "a~b", "~",
    "books~", "books~-1", "books~1~1", "books~99999999999", "=2F~1", "=zz~1", "=2f~1",
    "a%00~1", "=00~1", "%E0%A4~1", "books~1%0d%0aSet-Cookie:x=1", "C:\\~1", "a" * 5_000 + "~1",
]  # fmt: skip


def test_no_id_leads_out_of_the_store(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    before = sorted(shelf.directory.parent.rglob("*"))
    for given in IDS:
        for path in ("/jobs/{}", "/api/jobs/{}", "/api/jobs/{}/items", "/jobs/{}/requests/1"):
            answer = client.get(path.format(given))
            assert answer.status_code in (400, 404), (given, path)
            assert "set-cookie" not in answer.headers
    assert sorted(shelf.directory.parent.rglob("*")) == before


def test_no_stream_is_opened_of_a_job_that_is_not_there(client: TestClient) -> None:
    for given in (".~1", "=2F~1", "nothing~1", "nothing"):
        assert client.get(f"/jobs/{given}/stream").status_code == 404


def test_no_row_is_found_by_what_is_no_number(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    for given in ("-1", "1.5", "1e3", "0x1", "9" * 30, "\u0661", "1;drop", "9" * 19):
        for path in ("/jobs/books~1/requests/{}", "/jobs/books~1/items/{}"):
            assert client.get(path.format(given)).status_code in (400, 404), given


NAMES = ["books", "a/b", "..", ".", "", "a b", "é", "名", "a#1", "~", "=2F", "\udcff", "\x00", "%"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_has_an_id_of_its_own_in_plain_characters(name: str) -> None:
    key = JobKey(name, 12)
    assert re.fullmatch(r"[A-Za-z0-9_.=~-]+", job_id(key))
    assert job_key(job_id(key)) == key
    assert job_id(key).strip(".") == job_id(key) or name.startswith(".")


@pytest.mark.parametrize("name", ["a/b", "../up", "é", "two words", "a#1", "\udcff"])
def test_a_job_of_any_name_has_a_page(shelf: Shelf, client: TestClient, name: str) -> None:
    shelf.close(shelf.begin(name))
    (document,) = client.get("/api/jobs").json()
    assert client.get(f"/jobs/{document['id']}").status_code == 200
    assert client.get(f"/api/jobs/{document['id']}").json()["status"] == "completed"
    assert document["id"] in client.get("/").text
    assert client.get("/metrics").status_code == 200


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = (value or "").strip().lower()
            is_script = tag == "script" and not text.startswith("/static/") and name == "src"
            if name.startswith("on") or name == "style" or is_script:
                self.bad.append(f"<{tag} {name}={value}>")
            if name in ("href", "src", "action") and re.match(r"[a-z]+:", text):
                if not text.startswith(("http://", "https://")):
                    self.bad.append(f"<{tag} {name}={value}>")
                elif tag == "a" and dict(attrs).get("rel") != "noreferrer noopener":
                    self.bad.append(f"<{tag} without rel {name}={value}>")
        if tag == "img" and dict(attrs).get("src") == "x":
            self.bad.append("the hostile image")
        if tag == "script" and "src" not in dict(attrs):
            self.bad.append("an inline script")


def test_no_text_of_the_web_becomes_markup_or_a_script(shelf: Shelf, client: TestClient) -> None:
    job = hostile(shelf)
    key = JobKey(f"job {HOSTILE}", 1)
    texts = {"url": HOSTILE, "error": HOSTILE, "unit": HOSTILE, "type": HOSTILE, HOSTILE: HOSTILE}
    with_log(shelf, key, **texts)
    name = job_id(key)
    rows = client.get(f"/api/jobs/{name}/requests").json()
    item, *_ = client.get(f"/api/jobs/{name}/items").json()
    (step,) = client.get(f"/api/jobs/{name}/steps").json()
    pages = [f"/jobs/{name}{page}" for page in ("", "/requests", "/failures", "/units", "/items")]
    pages += [f"/jobs/{name}{page}" for page in ("/workers", "/events", "/steps")]
    pages += [f"/jobs/{name}/requests/{row['id']}" for row in rows]
    pages += [f"/jobs/{name}/items/{item['id']}", "/", f"/?q={HOSTILE}"]
    pages += [f"/jobs/{name}/requests?url={HOSTILE}&host={HOSTILE}&unit={HOSTILE}"]
    pages += [
        f"/jobs/{HOSTILE}",
        f"/jobs/{name}/items?q={HOSTILE}",
        f"/jobs/{name}/events?type={HOSTILE}",
    ]
    stepped = re.search(r'/steps/(\d+)"', client.get(f"/jobs/{name}/steps?state=failed").text)
    assert stepped is not None
    pages += [f"/jobs/{name}/steps/{stepped[1]}", f"/jobs/{name}/steps?step={quote(step['step'])}"]
    pages += [f"/jobs/{name}/steps?item={HOSTILE}&missing={HOSTILE}"]
    shown = 0
    for page in pages:
        html = client.get(page).text
        assert Seen(html).bad == [], page
        assert "<img src=x" not in html
        shown += "alert(1)" in html
    assert shown > 3 * len(pages) // 4
    overview = client.get(f"/jobs/{name}").text
    for place in ("Not delivered yet", "Latency by host", "breaker open", "spider "):
        assert "alert(1)" in overview[overview.index(place) :][:2_000], place
    assert job is not None


def test_control_and_turning_characters_are_shown_as_escapes(
    shelf: Shelf, client: TestClient
) -> None:
    shelf.crawl(shelf.begin("odd"), failed=["a\x1b[31m\u202etxt.exe\x00\u200b"])
    html = client.get("/jobs/odd~1/failures").text
    assert r"a\x1b[31m\u202etxt.exe\x00\u200b" in html
    assert "\u202e" not in html


def test_passwords_of_urls_are_masked(shelf: Shelf, client: TestClient) -> None:
    shelf.crawl(shelf.begin("secret"), failed=["no answer of http://ann:hunter2@shop.example/"])
    for page in ("", "/failures", "/requests"):
        assert "hunter2" not in client.get(f"/jobs/secret~1{page}").text
