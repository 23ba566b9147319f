"""The tiles at the top of the report's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scrapy_resume.commands.formats import number
from scrapy_resume.commands.svg_plots import escaped
from scrapy_resume.reporting.nouns import nouns_of_all
from scrapy_resume.reporting.progress import percent
from scrapy_resume.wording import plural

Stage = Mapping[str, Any]


def tiles(total: Mapping[str, Any], stages: Sequence[Stage]) -> str:
    """The numbers over all jobs, in words of requests, of tasks, or of both."""
    nouns = nouns_of_all(stages)
    noun = "request or task" if nouns is None else nouns.request
    requests = total["requests"]
    failed = requests["failed"] + requests["parked"]
    whole = total["whole"]
    of = f"{number(total['ended'])} of {number(whole)} {plural(whole, noun)} ended"
    shown = [
        (number(total["jobs"]), plural(total["jobs"], "job")),
        (number(total["active"]), "active"),
        (number(total["completed"]), "completed"),
        (number(total["failed"]), "failed"),
        (percent(total["progress"]), of),
        (percent(total["success_rate"]), "success"),
        (number(total["items"]), plural(total["items"], "item")),
        (number(failed), f"{noun}s failed or parked"),
    ]
    if total["stale"]:
        shown.append((number(total["stale"]), "stale: without progress"))
    boxes = "".join(
        f'<div class="tile"><b>{escaped(value)}</b><span class="muted small">{escaped(name)}</span>'
        "</div>"
        for value, name in shown
    )
    return f'<section class="tiles">{boxes}</section>\n'
