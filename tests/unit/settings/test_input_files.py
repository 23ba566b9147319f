"""What is done when input files have changed since their job began."""

from __future__ import annotations

import logging

import pytest

from scrapy_resume.errors import InputChangedError
from scrapy_resume.model import JobKey
from scrapy_resume.settings.input_files import begins_new_job, changed_inputs

JOB = JobKey("books", 3)


def test_changed_added_and_removed_files_are_found_in_order() -> None:
    recorded = {"same": "1", "changed": "1", "removed": "1"}
    now = {"same": "1", "changed": "2", "added": "1"}
    assert changed_inputs(recorded, now) == ["added", "changed", "removed"]


@pytest.mark.parametrize("choice", ["refuse", "warn", "fresh"])
def test_without_changes_the_job_goes_on_whatever_the_setting(
    choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not begins_new_job(choice, JOB, [])
    assert caplog.records == []


def test_refuse_names_the_job_and_the_files() -> None:
    with pytest.raises(InputChangedError, match=r"books#3 .* a\.csv, b\.csv changed") as refused:
        begins_new_job("refuse", JOB, ["a.csv", "b.csv"])
    assert "RESUME_MODE=fresh" in str(refused.value)


@pytest.mark.parametrize(
    ("choice", "begins", "line"),
    [("warn", False, "The crawl goes on"), ("fresh", True, "A new job begins")],
)
def test_the_other_choices_warn(
    choice: str, begins: bool, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "scrapy_resume"):
        assert begins_new_job(choice, JOB, ["a.csv"]) is begins
    (record,) = caplog.records
    assert line in record.getMessage()
    assert "a.csv" in record.getMessage()
