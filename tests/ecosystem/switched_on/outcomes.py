"""A plugin of pytest: writes the outcome of each test by its node id, as JSON, to the file that
``TRIAL_OUTCOMES`` names.

It also collects garbage after each test where ``TRIAL_COLLECT`` is set: an error of a coroutine that
nobody awaits is logged when it is collected, and a test that looks at the log must not get that of
another one, which it does or not by chance.
"""

import gc
import json
import os
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


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["TRIAL_OUTCOMES"]).write_text(json.dumps(OUTCOMES))
