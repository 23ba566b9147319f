"""The files of ``example_project/deploy``, as their programs read them, and what they start."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ecosystem.conftest import Project, program
from tests.support.site import REPO
from tests.support.skips import other_platform

DEPLOY = REPO / "example_project" / "deploy"

SPIDER = """
    import os

    import scrapy

    class Catalogue(scrapy.Spider):
        name = "catalogue"

        async def start(self):
            for number in range(8):
                yield scrapy.Request(f"{os.environ['SITE']}/{number}")

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""


def yaml_of(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def entrypoint() -> list[str]:
    """The words of the image's entry point, which must not be a shell's."""
    (words,) = re.findall(r"^ENTRYPOINT (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    found: list[str] = json.loads(words)
    assert found[0] == "scrapy"
    return found[1:]


def kubernetes_job() -> Any:
    job = yaml_of("job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    return job["spec"]


def test_each_completion_of_the_kubernetes_job_ends_well_and_one_crawl_is_made(
    project: Project,
) -> None:
    spec = kubernetes_job()
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] in ("OnFailure", "Never")
    (container,) = pod["containers"]
    given = {variable["name"] for variable in container["env"]}
    assert set(re.findall(r"\$\((\w+)\)", " ".join(container["args"]))) <= given
    words = [word.replace("$(STORE)", "store") for word in container["args"]]
    project.write(SPIDER)
    for _ in range(spec["completions"]):
        assert project.run("-m", "scrapy", *entrypoint(), *words) == 0, project.log[-3000:]
    assert [(job["job"], job["status"]) for job in project.jobs()] == [("catalogue", "completed")]
    assert set(project.site.hits.values()) == {1}


def test_without_once_each_completion_would_crawl_anew(project: Project) -> None:
    project.write(SPIDER)
    for _ in range(2):
        assert project.run("-m", "scrapy", *entrypoint()) == 0, project.log[-3000:]
    assert len(project.jobs()) == 2
    assert set(project.site.hits.values()) == {2}


def test_containers_of_compose_are_stopped_in_time_and_started_again_after_a_failure(
    project: Project,
) -> None:
    compose = yaml_of("compose.yaml")
    crawl = compose["services"]["crawl"]
    assert crawl["restart"] == "on-failure"
    assert (DEPLOY / crawl["build"]["context"] / crawl["build"]["dockerfile"]).exists()
    assert crawl["depends_on"]["db"]["condition"] == "service_healthy"
    assert "healthcheck" in compose["services"]["db"]
    assert set(compose["volumes"]) == {
        volume.split(":")[0] for volume in compose["services"]["db"]["volumes"]
    }
    store = next(word for word in crawl["command"] if word.startswith("RESUME_STORE="))
    database = compose["services"]["db"]["environment"]
    user, password = database["POSTGRES_USER"], database["POSTGRES_PASSWORD"]
    assert store == f"RESUME_STORE=postgresql://{user}:{password}@db/{database['POSTGRES_DB']}"
    words = [word.replace(store, "RESUME_STORE=store") for word in crawl["command"]]
    project.write(SPIDER)
    for _ in range(2):
        assert project.run("-m", "scrapy", *entrypoint(), *words) == 0, project.log[-3000:]
    assert len(project.jobs()) == 1


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip(other_platform("there is no systemd here; tests/crawl reads the unit"))
    unit = tmp_path / "catalogue.service"
    text = (DEPLOY / "catalogue.service").read_text()
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M)
    unit.write_text(re.sub(r"^WorkingDirectory=.*", "WorkingDirectory=/", text, flags=re.M))
    ended = subprocess.run(
        [program, "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    assert (ended.returncode, str(unit.name) in ended.stderr) == (0, False), ended.stderr


def tasks_of_the_flow(project: Project) -> list[str]:
    """The commands of the two tasks that docs/recipes.md gives for Airflow, as it renders them."""
    text = (REPO / "docs" / "recipes.md").read_text()
    commands = re.findall(r'bash_command="([^"]+)"', text)
    return [
        command.replace("{{ ds }}", "2026-11-30")
        .replace("/srv/shop", str(project.path))
        .replace("&& scrapy", f"&& {program('python')} -m scrapy")
        for command in commands
    ]


@pytest.mark.parametrize(("parse", "verdict"), [("yield {}", 0), ("raise ValueError", 3)])
def test_second_task_of_a_flow_fails_if_pages_have_failed(
    project: Project, parse: str, verdict: int
) -> None:
    project.write(re.sub(r"yield \{.*", parse, SPIDER))
    crawl, check = tasks_of_the_flow(project)
    codes = [
        subprocess.run(
            ["bash", "-c", task], env=project.environment(), capture_output=True
        ).returncode
        for task in (check, crawl, crawl, check)
    ]
    # Before there is a job, the check fails; a crawl that is run again begins nothing.
    assert codes == [1, 0, 0, verdict]
    assert [job["job"] for job in project.jobs()] == ["catalogue-2026-11-30"]
    assert set(project.site.hits.values()) == {1}
