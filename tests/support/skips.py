"""When a test may be skipped, and when a skip is a failure.

A test may be skipped because it is not about this store, this Scrapy or this platform; its
reason then comes from ``other_store``, ``other_scrapy`` or ``other_platform``. Any other skip
means that something which the tests bring themselves (a PostgreSQL server, PgBouncer, a small
disk, a library of the extra ``test``) is not there. On a developer's machine that is
convenient. With ``CI=true`` in the environment it is a failure: a run that tests nothing must
not be green.

The hooks at the end see to that; ``tests/conftest.py`` imports them.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any, NoReturn

import pytest

KINDS = ("not about this store", "not about this Scrapy", "not about this platform")
_STORE, _SCRAPY, _PLATFORM = KINDS


def other_store(why: str) -> str:
    """The reason of a skip: the test is about another store than ``--store`` names."""
    return f"{_STORE}: {why}"


def other_scrapy(why: str) -> str:
    """The reason of a skip: the test is about another version of Scrapy."""
    return f"{_SCRAPY}: {why}"


def other_platform(why: str) -> str:
    """The reason of a skip: the test is about what another operating system has."""
    return f"{_PLATFORM}: {why}"


def on_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def not_started(what: str, why: object) -> NoReturn:
    """Ends a test for want of something that the tests bring themselves.

    The test is skipped, or fails where ``on_ci()``. It may be called by a fixture of any scope.
    """
    message = f"{what} did not start: {why}"
    # ``from None``: the caller's exception is in the message already.
    if on_ci():
        raise pytest.fail.Exception(message, pytrace=False) from None
    raise pytest.skip.Exception(message) from None


def _fail_if_skipped(report: Any) -> None:
    """Makes a failure of a report of a skip for which none of ``KINDS`` is the reason."""
    if not report.skipped or hasattr(report, "wasxfail") or not on_ci():
        return
    place, line, message = report.longrepr
    reason = message.removeprefix("Skipped: ")
    if not reason.startswith(KINDS):
        report.outcome = "failed"
        report.longrepr = (
            f"{place}:{line}: skipped, which CI=true does not allow: {reason}\n"
            "Have what is missing there, or give the reason by tests/support/skips.py if the test "
            "is not about this store, Scrapy or platform."
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """A whole module is skipped while it is imported."""
    report = yield
    _fail_if_skipped(report)
    return report
