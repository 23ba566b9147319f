"""Which job a user means."""

from __future__ import annotations

import pytest

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey
from scrapy_resume.reporting.lookup import find_job

ROME, OSLO = "tok-4bfb26d3", "tok-00c0ffee"


def found(job: str, *names: str) -> str:
    keys = [JobKey.parse(name) for name in names]
    return str(find_job([JobKey(name, number or 1) for name, number in keys], job, "here"))


def test_the_name_of_a_spider_means_its_only_job_with_arguments() -> None:
    assert found("tok", ROME, "other") == f"{ROME}#1"
    assert found("tok", f"{ROME}#1", f"{ROME}#2") == f"{ROME}#2"
    assert found("tok#1", f"{ROME}#1", f"{ROME}#2") == f"{ROME}#1"


def test_a_job_without_arguments_comes_first() -> None:
    assert found("tok", ROME, "tok") == "tok#1"


def test_several_jobs_with_arguments_are_named() -> None:
    with pytest.raises(JobNotFoundError, match=f"{OSLO}, {ROME}"):
        found("tok", ROME, OSLO, "far away")


@pytest.mark.parametrize("job", ["tok#3", "tok-", "to", "tok-4bfb"])
def test_nothing_else_is_guessed(job: str) -> None:
    with pytest.raises(JobNotFoundError, match=ROME):
        found(job, ROME)
