"""A plugin of pytest: writes the outcome of each test by its node id, as JSON, to the file that
``TRIAL_OUTCOMES`` names.

It also collects garbage after each test where ``TRIAL_COLLECT`` is set: an error that nobody awaits
is logged when it is collected, and a test that looks at the log must not get that of another one,
which it does or not by chance.

The programs that tests start get minutes, in place of 2 or 15 s, which a busy machine does not
keep: scrapyrt's servers until they listen, its command line and Scrapy's until they end.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTCOMES = {}
PROGRAM_SECONDS = 120
SERVER_SECONDS = 20


class PatientSubprocess:
    """The module ``subprocess``, for Scrapy's ``proc()``: a program may take its time."""

    def __getattr__(self, name):
        return getattr(subprocess, name)

    def run(self, *words, **options):
        return subprocess.run(*words, **{**options, "timeout": PROGRAM_SECONDS})


def pytest_runtest_logreport(report):
    before = OUTCOMES.get(report.nodeid, "passed")
    if hasattr(report, "wasxfail"):
        outcome = "xfailed"
    else:
        outcome = "passed" if report.passed else report.outcome
    if before == "passed":
        OUTCOMES[report.nodeid] = outcome


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    if "TRIAL_COLLECT" in os.environ:
        gc.collect()


def pytest_collection_finish(session):
    servers = sys.modules.get("tests.servers")
    if servers is not None:
        servers.BaseTestServer._wait_for_port.__defaults__ = (0.1, 600)
    command_line = sys.modules.get("tests.test_cmdline")
    if hasattr(command_line, "find_scrapy_project"):
        # Those that go on are ended when this time is over.
        command_line.run.__defaults__ = (None, SERVER_SECONDS)
    commands = sys.modules.get("tests.utils.cmdline")
    if commands is not None and hasattr(commands, "proc"):
        commands.subprocess = PatientSubprocess()


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["TRIAL_OUTCOMES"]).write_text(json.dumps(OUTCOMES))
