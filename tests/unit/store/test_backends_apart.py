"""A backend imports nothing of the other one, and the contract imports neither."""

from __future__ import annotations

import subprocess
import sys

import pytest

CONTRACT = "scrapy_resume.store.contract"
SQLITE = ("scrapy_resume.store.sqlite", "sqlite3")
POSTGRES = ("scrapy_resume.store.postgres", "psycopg")
TRANSACTION = ("scrapy_resume.store.transaction",)


def imported_with(module: str) -> list[str]:
    """The modules that a new process has after the import."""
    code = f"import {module}, sys; print(*sys.modules, sep='\\n')"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout.splitlines()


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("scrapy_resume.store.sqlite.store", POSTGRES),
        ("scrapy_resume.store.sqlite.reader", POSTGRES),
        ("scrapy_resume.store.postgres.store", SQLITE),
        ("scrapy_resume.store.postgres.reader", SQLITE),
        ("scrapy_resume.store.transaction.apply", SQLITE + POSTGRES),
        (CONTRACT, SQLITE + POSTGRES + TRANSACTION),
    ],
)
def test_a_part_of_the_store_imports_no_backend_but_its_own(
    module: str, strangers: tuple[str, ...]
) -> None:
    if ".postgres." in module:
        pytest.importorskip("psycopg")
    modules = imported_with(module)
    assert module in modules
    for stranger in strangers:
        assert not [name for name in modules if f"{name}.".startswith(f"{stranger}.")], stranger
