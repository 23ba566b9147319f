"""What a role needs, and that it needs no more: the statements of docs/postgres.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from scrapy_resume import open_store
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import JobKey, Selection, State
from scrapy_resume.run.pruning import prune
from tests.support.postgres import PostgresServer, database_of
from tests.support.site import REPO

from .conftest import Place, place_of
from .records import BOOKS, ItemRecord, Run, finish, opening
from .test_sharing import new

TO_BEGIN = "GRANT CREATE ON DATABASE"
TO_USE = "GRANT USAGE ON SCHEMA"
TO_READ = "GRANT SELECT ON ALL TABLES"

Role = Callable[..., str]

numbers = count(1)


def documented(beginning: str) -> list[str]:
    """The statements of that block of the docs, which begins with such a statement."""
    text = (REPO / "docs" / "postgres.md").read_text()
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        statements = [line.partition(";")[0].strip() for line in block.splitlines()]
        granted = [one for one in statements if one.startswith(("GRANT", "CREATE SCHEMA"))]
        if any(one.startswith(beginning) for one in granted):
            return granted
    raise AssertionError(f"docs/postgres.md has no {beginning}")


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.new_database()


@pytest.fixture
def role(postgres_server: PostgresServer, database: str) -> Iterator[Role]:
    """The URL of the database for a new role, with what these statements give it."""
    made: list[str] = []

    def make(statements: list[str]) -> str:
        name = f"role_{next(numbers)}"
        made.append(name)
        postgres_server.query(f"CREATE ROLE {name} LOGIN")
        for statement in statements:
            own = re.sub(r"\b(crawler|reader)\b", name, statement)
            own = own.replace("DATABASE crawls", f'DATABASE "{database_of(database)}"')
            postgres_server.query(own, database=database_of(database))
        return database.replace("postgres@", f"{name}@")

    yield make
    postgres_server.drop_database(database)
    for name in made:
        postgres_server.query(f"DROP ROLE {name}")


def go_through_all(place: Place) -> None:
    """What a job comes to, from its beginning to its deletion."""
    with place.store.door("books"):
        run = Run(place.store.begin(BOOKS, opening(worker="a:1")))
    other = Run(place.store.resume(BOOKS, opening(worker="b:2")))
    run.admit(*(new(run, n, unit="unit") for n in range(3)))
    first, second, _ = run.lease()
    run.commit(spills=[(first.id, ItemRecord(0, '"spilled"'))], spider_state="1")
    run.commit(cookies={"jar": "x"})
    run.finish(finish(first.id, [ItemRecord(1, '"a"', "key")], spilled=True))
    run.finish(finish(second.id, state=State.failed, error="E"))
    other.commit(idle=True, slots_wanted=1)
    assert other.close() == "running"
    run.die()
    assert place.store.steer(BOOKS, Selection((State.failed,)), State.pending) == 1
    again = Run(place.store.resume(BOOKS, opening(worker="c:3")))
    for row in again.lease():
        again.finish(finish(row.id))
    again.commit(start_exhausted=True)
    assert again.job.is_last()
    assert again.close("completed", "finished") == "completed"
    place.store.begin(JobKey("books", 2), opening()).abandon()
    place.store.cancel(JobKey("books", 2))
    for number in (1, 2):
        old = Run(place.store.begin(JobKey("old", number), opening()))
        old.commit(start_exhausted=True)
        assert old.close("completed", "finished") == "completed"
    assert prune(place.store, "old", 1) == [JobKey("old", 1)]


def test_a_role_that_may_create_schemas_makes_and_uses_it(role: Role) -> None:
    go_through_all(place_of(role(documented(TO_BEGIN))))


def test_a_role_uses_a_schema_that_it_was_given_empty(role: Role) -> None:
    statements = [one for one in documented("CREATE SCHEMA") if "SCHEMA" in one]
    go_through_all(place_of(role(statements)))


def test_a_role_uses_a_schema_of_another_with_what_is_documented(role: Role, database: str) -> None:
    with place_of(database).store.door("books"):
        pass  # the schema is there
    place = place_of(role(documented(TO_USE)))
    go_through_all(place)
    assert place.items() == ['"spilled"', '"a"']


def test_a_reader_reads_and_cannot_write(role: Role, database: str) -> None:
    go_through_all(place_of(database))
    url = role(documented(TO_READ))
    store = open_store(url)
    assert store.job("books#1")["requests"]["done"] == 3
    assert list(store.items("books#1")) == ["spilled", "a"]
    assert len(list(store.requests("books#1"))) == 3
    with pytest.raises(ConfigurationError, match="permission denied"):
        place_of(url).store.resume(BOOKS, opening())


def test_a_role_that_may_nothing_is_told_what_it_needs(role: Role) -> None:
    with pytest.raises(ConfigurationError, match=r"needs CREATE on the database once"):
        place_of(role([])).store.begin(BOOKS, opening())
