"""The names in a job that its crawl would refuse to restore, because RESUME_TRUSTED does not cover
them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.codec.trust import Trust
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.model import JobKey, JobSummary

_KINDS = {"request": "request", "item": "item", "state": "spider.state", "cookies": "cookie jar"}


def refused_names(call: Invocation, key: JobKey) -> list[str]:
    """A sentence for each such name: how many requests and items have it, and what to do.

    Imports the modules of the project, as a crawl does.
    """
    from scrapy_resume.codec.names import NameCheck

    reports = call.reports()
    trust, knows_spider = _trust(call, reports.summary(key))
    check = NameCheck(trust, as_in_crawl=knows_spider)
    counts: dict[str, Counter[str]] = {}
    for kind, text in reports.recorded_texts(key):
        for name in check.refused(text, is_request=kind == "request"):
            counts.setdefault(name, Counter())[kind] += 1
    return [_sentence(name, found) for name, found in sorted(counts.items())]


def _trust(call: Invocation, summary: JobSummary) -> tuple[Trust, bool]:
    """What the job's crawl trusts, and whether its spider's module could be loaded."""
    from scrapy.spiderloader import get_spider_loader

    from scrapy_resume.codec.trust import Trust
    from scrapy_resume.settings.trusted import trusted_packages

    packages = trusted_packages(call.settings)
    loader = get_spider_loader(call.settings)
    if summary.spider in loader.list():
        return Trust.in_class(loader.load(summary.spider), packages), True
    # The file of `scrapy runspider` is known under its stem in the crawl, and is not run here.
    file = (summary.launch or {}).get("file")
    return Trust([Path(file).stem] if isinstance(file, str) else [], packages), False


def _sentence(name: str, found: Counter[str]) -> str:
    module = name.partition(":")[0]
    holders = [
        f"{count} {_KINDS[kind]}{'s' if count > 1 and kind in ('request', 'item') else ''}"
        for kind, count in found.items()
    ]
    return (
        f"{name} is named by {' and '.join(holders)} and would not be restored: it is neither the "
        f"spider's nor the project's code. If your crawl uses it, set RESUME_TRUSTED = "
        f"[{module!r}]; if not, somebody else has written to the job"
    )
