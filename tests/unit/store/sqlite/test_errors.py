"""What a user can do about a store that cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.store.sqlite.errors import file_error, store_error

STORE = Path("/srv/shop/.scrapy/resume")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_store_that_cannot_be_written_names_the_setting(number: int) -> None:
    error = file_error(OSError(number, os.strerror(number), str(STORE)), STORE)
    assert isinstance(error, StoreUnavailableError)
    assert str(error).startswith(f"{STORE}: it cannot be written: check the permissions")
    assert "set RESUME_STORE to a directory that can be written" in str(error)


@pytest.mark.parametrize(
    "text", ["attempt to write a readonly database", "unable to open database file"]
)
def test_a_database_that_cannot_be_written_names_the_setting(text: str) -> None:
    error = store_error(sqlite3.OperationalError(text), STORE)
    assert "set RESUME_STORE to" in str(error)
