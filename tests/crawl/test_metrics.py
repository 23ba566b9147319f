"""What a spider counts, expects and says of itself is kept with its job."""

from __future__ import annotations

import json

import pytest

from scrapy_resume import open_store
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import JOB, Wanderings


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    found.replace_in_spider(
        'yield {"title"',
        'self.crawler.stats.inc_value("custom/pages")\n        yield {"title"',
    )
    return found


def test_custom_metrics_are_summed_over_runs(wanderings: Wanderings) -> None:
    first = wanderings.run({"CLOSESPIDER_PAGECOUNT": 20})
    assert first.exit_code == 0, first.tail()
    pages = wanderings.job()["custom"]["pages"]
    assert pages == wanderings.job()["requests"]["done"]
    assert wanderings.run().is_finished
    assert wanderings.job()["custom"] == {"pages": len(wanderings.whole)}


def test_a_kill_costs_custom_metrics_no_more_than_what_was_in_hand(
    wanderings: Wanderings,
) -> None:
    assert wanderings.run(kill=at_hits(30)).killed_at is not None
    done = wanderings.job()["requests"]["done"]
    pages = wanderings.job()["custom"].get("pages", 0)
    assert pages >= done, "what is finished was counted before its commit"
    assert wanderings.run().is_finished
    total = wanderings.job()["custom"]["pages"]
    assert len(wanderings.whole) <= total <= len(wanderings.whole) + pages - done


@pytest.mark.soak
def test_a_total_is_shown_and_progress_is_of_it(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        '    name = "wandering"\n', '    name = "wandering"\n    resume_total = 1000\n'
    )
    run = wanderings.run({"CLOSESPIDER_PAGECOUNT": 20, "RESUME_PROGRESS_EVERY": 10})
    assert run.exit_code == 0, run.tail()
    job = wanderings.job()
    assert job["expected_total"] == 1000
    assert "/1000) | success" in run.text
    seen: list[dict[str, object]] = []

    def look(live: object) -> float | None:
        assert live.until(lambda: live.hits() >= 2)  # type: ignore[attr-defined]
        assert live.until(lambda: bool(wanderings.job()["eta_seconds"]))  # type: ignore[attr-defined]
        seen.append(wanderings.job())
        return None

    assert wanderings.run({"DOWNLOAD_DELAY": 0.1}, kill=look).is_finished
    assert seen[0]["eta_basis"] == "expected_total"
    ended = 1000 - len(wanderings.whole)
    assert seen[0]["eta_seconds"] > 60 * ended / seen[0]["pages_per_minute"] - 1  # type: ignore[operator]


def test_a_total_by_a_function_of_the_job(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        "    async def start(self)",
        "    def resume_total(self, job):\n"
        '        assert job["job"].startswith("wandering#")\n'
        '        return 7 + job["requests"]["done"]\n\n'
        "    async def start(self)",
    )
    assert wanderings.run().is_finished
    assert wanderings.job()["expected_total"] >= 7


def test_a_total_that_is_no_number_is_refused_before_anything_is_touched(
    wanderings: Wanderings,
) -> None:
    wanderings.replace_in_spider(
        '    name = "wandering"\n', '    name = "wandering"\n    resume_total = "many"\n'
    )
    run = wanderings.run()
    assert run.exit_code == 1
    assert "resume_total of spider 'wandering' is 'many'" in run.text
    assert wanderings.jobs() == {}


def test_metadata_and_input_files_of_a_spider_are_kept_and_minded(wanderings: Wanderings) -> None:
    seeds = wanderings.place.path / "seeds.txt"
    seeds.write_text("a")
    wanderings.replace_in_spider(
        '    name = "wandering"\n',
        '    name = "wandering"\n'
        '    resume_metadata = {"ticket": 7}\n'
        '    resume_input_files = ["seeds.txt"]\n',
    )
    settings = {"RESUME_METADATA": json.dumps({"team": "x"}), "CLOSESPIDER_PAGECOUNT": 10}
    assert wanderings.run(settings).exit_code == 0
    assert wanderings.job()["metadata"] == {"ticket": 7, "team": "x"}
    seeds.write_text("b")
    refused = wanderings.run(settings)
    assert refused.exit_code == 1
    assert "seeds.txt changed since" in refused.text
    assert len(wanderings.job()["runs"]) == 1
    seeds.write_text("a")
    assert wanderings.run({"RESUME_METADATA": "{}"}).is_finished
    assert wanderings.job()["metadata"] == {"ticket": 7}
    assert open_store(wanderings.place.location).job(JOB)["status"] == "completed"


def test_metadata_that_a_callback_changes_is_there_after_a_kill(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider(
        '    name = "wandering"\n',
        '    name = "wandering"\n    resume_metadata = {"pages": 0}\n',
    )
    wanderings.replace_in_spider(
        '        yield {"title"',
        '        self.resume_metadata = {"pages": self.state["pages"]}\n        yield {"title"',
    )
    team = {"RESUME_METADATA": json.dumps({"team": "x"})}
    killed = wanderings.run({**team, "DOWNLOAD_DELAY": 0.02}, kill=at_hits(20))
    assert killed.killed_at is not None
    found = wanderings.job()
    assert found["metadata"]["team"] == "x"
    assert found["requests"]["done"] <= found["metadata"]["pages"] <= 20
    assert wanderings.run({"RESUME_METADATA": json.dumps({"group": "y"})}).is_finished
    # A page whose callback had run, and that was not done when the process died, is counted again.
    again = found["metadata"]["pages"] - found["requests"]["done"]
    assert wanderings.job()["metadata"] == {"group": "y", "pages": wanderings.site.pages + again}
