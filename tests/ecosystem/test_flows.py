"""What docs/recipes.md gives for Airflow and Prefect, run by them.

Each has an environment of its own: they ask for other releases than the packages beside them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from tests.ecosystem.conftest import Project
from tests.ecosystem.test_deploy import SPIDER
from tests.support.site import REPO

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

DAY = "2026-11-30"

DAG = """
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("catalogue", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
"""

FLOW = """
import subprocess
import sys

from prefect import flow, task

"""


def installed(package: str) -> Path:
    """The programs of an environment with a package and the add-on; ``make clean`` removes it."""
    place = REPO / ".cache" / "flows" / package
    programs = place / "bin"
    ready = place / ".ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = [programs / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--editable", str(REPO), package], check=True)
        ready.touch()
    return programs


def recipe(begin: str, end: str) -> str:
    """The lines of docs/recipes.md from the one that begins so, to the last that ends so."""
    text = (REPO / "docs" / "recipes.md").read_text()
    found = re.search(
        rf"^    {re.escape(begin)}.*?^ +{re.escape(end)}$", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return dedent(found[0])


def run(project: Project, words: list[object], more: Mapping[str, str]) -> int:
    """Run a program of a flow; what it prints is added to the log of the project."""
    with (project.path / "log").open("ab") as log:
        return subprocess.run(
            [str(word) for word in words],
            cwd=project.path,
            env=project.environment(more),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        ).returncode


def prepared(project: Project, parse: str, programs: Path) -> dict[str, str]:
    """Write the project; what the environment of a flow needs."""
    project.write(re.sub(r"yield \{.*", parse, SPIDER))
    # A scrapy of the flow's environment, whatever that has been started from.
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(project.path), "NO_COLOR": "1"}


def hold(project: Project, words: list[object], more: Mapping[str, str], fails: bool) -> None:
    """The flow is run twice. It fails if pages have failed, each time; one crawl is made."""
    codes = [run(project, words, more) for _ in range(2)]
    assert [code != 0 for code in codes] == [fails, fails], project.log[-6000:]
    assert [job["job"] for job in project.jobs()] == [f"catalogue-{DAY}"]
    assert len(project.site.hits) == 8
    assert set(project.site.hits.values()) == {1}


PAGES = pytest.mark.parametrize(
    ("parse", "fails"), [("yield {}", False), ("raise ValueError", True)], ids=["good", "failed"]
)


@PAGES
def test_airflow_runs_the_crawl_and_fails_if_pages_have_failed(
    project: Project, parse: str, fails: bool
) -> None:
    programs = installed("apache-airflow")
    more = prepared(project, parse, programs)
    home = project.path / "airflow"
    (home / "dags").mkdir(parents=True)
    tasks = recipe("crawl = BashOperator(", "crawl >> check").replace(
        "/srv/shop", str(project.path)
    )
    # A crawl that went wrong would be tried again after minutes, and none does here.
    tasks = tasks.replace("retries=20", "retries=0")
    lines = [f"    {line}\n" for line in tasks.splitlines()]
    (home / "dags" / "catalogue.py").write_text(DAG + "".join(lines))
    more |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    airflow = [programs / "airflow"]
    assert run(project, [*airflow, "db", "migrate"], more) == 0, project.log[-6000:]
    hold(project, [*airflow, "dags", "test", "catalogue", DAY], more, fails)


@PAGES
def test_prefect_runs_the_crawl_and_fails_if_pages_have_failed(
    project: Project, parse: str, fails: bool
) -> None:
    programs = installed("prefect")
    more = prepared(project, parse, programs)
    tasks = recipe("@task(retries=20)", "check(day)").replace("/srv/shop", str(project.path))
    script = project.path / "flow.py"
    script.write_text(f"{FLOW}{tasks}\n\nif __name__ == '__main__':\n    catalogue(sys.argv[1])\n")
    more |= {
        "PREFECT_HOME": str(project.path / "prefect"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # in place of 20
        "DO_NOT_TRACK": "1",
    }
    hold(project, [programs / "python", script, DAY], more, fails)
