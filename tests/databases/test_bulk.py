"""Rows that go many at once (PostgreSQL's COPY, plain tuples in SQLite) are what they are one by
one."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from scrapy_resume.databases import bulk
from scrapy_resume.errors import RowsNotWrittenError

from .following import Job, follow
from .shelf import Shelf

TEXTS = [
    "",
    "\\N",
    "\\.",
    "a\tb",
    "line\nfeed",
    "\r\n",
    "back\\slash\\",
    "é漢🙂",
    "'\"",
    "%s %(x)s",
    "\x01",
]


def item(number: int) -> dict[str, Any]:
    """Of all kinds; some fields are missing in some."""
    made = {
        "id": number,
        "text": TEXTS[number % len(TEXTS)],
        "real": number / 3 if number % 7 else float("inf"),
        "boolean": number % 2 == 0,
        "decimal": Decimal(number) / 8,
        "day": date(2026, 1, 1) + timedelta(number),
        "naive": datetime(2026, 1, 1, 0, 0, number % 60, number),
        "zoned": datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=number))),
        "clock": time(1, 2, number % 60),
        "binary": bytes([number % 256, 0, 92, 9]),
        "unique": UUID(int=number),
        "nested": {"a": ["\\", "\n", {"b": number}], "c": TEXTS[-number % len(TEXTS)]},
        "mixed": number if number % 3 else float(number),
        "nothing": None,
    }
    if number % 5 == 0:
        del made["text"], made["real"]
    return made


@pytest.mark.parametrize("key", [None, "id"])
def test_rows_of_all_kinds_are_the_same_by_one_and_by_many(
    database: Shelf, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    ordinary = bulk._copy
    monkeypatch.setattr(bulk, "_copy", lambda *of: (copied.append(of[1]), ordinary(*of)))
    for table, batch_size in (("slow", 5), ("fast", 80), ("per%cent 'q\" \\", 80)):
        job = Job(table)
        for number in range(100):
            job.put(item(number), number)
        uri = database.uri(table.replace("%", "%25"))
        feed = follow(uri, job, primary_key=key, batch_size=batch_size)
        assert feed.delivered, feed.error
        for number in range(0, 100, 3):
            job.put({**item(number), "text": f"later {number}", "real": None}, number)
        assert follow(uri, job, primary_key=key, batch_size=batch_size).delivered
        if database.dialect == "postgresql":
            assert any('"id"' in into for into in copied) is (table != "slow")
    slow, *fast = (
        sorted(map(repr, database.rows(table))) for table in ("slow", "fast", "per%cent 'q\" \\")
    )
    assert len(slow) == 100
    assert all(one == slow for one in fast)


@pytest.mark.parametrize("key", [None, "n"])
def test_one_refused_row_of_many_is_owed_and_named(database: Shelf, key: str | None) -> None:
    database.execute("CREATE TABLE items (n BIGINT PRIMARY KEY, a TEXT CHECK (a <> 'never'))")
    job = Job()
    for number in range(60):
        job.put({"n": number, "a": "never" if number == 7 else "x"}, number)
    if database.dialect == "postgresql":
        job.put({"n": 60, "a": "nul\x00"}, 60)
    feed = follow(database.uri(), job, primary_key=key)
    assert isinstance(feed.error, RowsNotWrittenError)
    assert sorted(row["n"] for row in database.rows()) == [n for n in range(60) if n != 7]
    owed = [row["error"] for row in database.side_rows() if row["error"]]
    assert len(owed) == (2 if database.dialect == "postgresql" else 1)
    assert all(("7.0" in one and "constraint" in one) or "field 'a'" in one for one in owed)


def test_types_that_change_in_the_middle_of_many(database: Shelf) -> None:
    job = Job()
    values: list[Any] = [1, None, 2.5, True, "text", 2**70, [1], Decimal("0.1")]
    for number in range(160):
        job.put({"n": number, "a": values[number // 20]}, number)
    assert follow(database.uri(), job, batch_size=30).delivered
    texts = ["1", None, "2.5", "true", "text", str(2**70), "[1]", "0.1"]
    found = {row["n"]: row["a"] for row in database.rows()}
    for number in range(160):
        assert str(found[number]) in (
            str(texts[number // 20]),
            "1.0",
            "1",
            "1180591620717411303424",
        )
        if number >= 80:
            assert found[number] == texts[number // 20]
    assert [row["a"] for row in database.rows() if row["n"] < 160 and 20 <= row["n"] < 40] == [
        None
    ] * 20


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_keys_that_only_the_database_takes_for_equal_are_one_row(database: Shelf) -> None:
    database.execute("CREATE TABLE items (id CHAR(40) PRIMARY KEY, a BIGINT)")
    job = Job()
    for number in range(40):
        job.put({"id": "ab" + " " * (number % 25), "a": number}, number)
    assert follow(database.uri(), job, primary_key="id").delivered
    assert [row["a"] for row in database.rows()] == [39]


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_role_that_may_make_no_temporary_tables_writes_one_by_one(
    database: Shelf, postgres_server: Any
) -> None:
    name = database.url.rpartition("/")[2]
    role = f"poor_{name}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        database.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
        database.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}")
        uri = database.uri().replace("//postgres@", f"//{role}@")
        job = Job()
        for number in range(40):
            job.put({"id": number, "a": "x"}, number)
        assert follow(uri, job, primary_key="id").delivered
        assert len(database.rows()) == 40
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")
