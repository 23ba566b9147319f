"""A plugin of pytest: writes the outcome of each test by its node id, as JSON, to the file that
``TRIAL_OUTCOMES`` names.

It also collects garbage after each test where ``TRIAL_COLLECT`` is set: an error that nobody awaits
is logged when it is collected, and a test that looks at the log must not get that of another one,
which it does or not by chance.

The servers that scrapyrt's tests start get 60 s to listen, in place of 2 s, which a busy machine
does not keep.
"""

import gc
import json
import os
import sys
from pathlib import Path

import pytest

OUTCOMES = {}


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


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["TRIAL_OUTCOMES"]).write_text(json.dumps(OUTCOMES))
