"""``scrapy resume run SPIDER --dry-run`` before the first run: what ``start()`` would request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.commands.invocation import Invocation


def names_spider(call: Invocation, name: str) -> bool:
    """Whether the project has a spider of that name."""
    from scrapy.spiderloader import get_spider_loader

    return name in get_spider_loader(call.settings).list()


def print_start(call: Invocation, spider: str, arguments: dict[str, str]) -> int:
    """Print what ``start()`` would request, fetching nothing; exit code 1 if it raises."""
    from scrapy_resume.run.dry_start import run_start
    from scrapy_resume.run.launch import without_secrets
    from scrapy_resume.settings.job_name import job_name
    from scrapy_resume.settings.table import parse_setting

    job = job_name(spider, without_secrets(arguments), parse_setting("RESUME_JOB", call.settings))
    limit, as_json = call.arguments.limit, call.arguments.json
    rows: list[dict[str, Any]] = []

    def listed(request: Request) -> None:
        row = _described(request)
        if as_json:
            rows.append(row)
        else:
            call.print_lines([_line(row)])

    found = run_start(call.settings, spider, arguments, listed, limit)
    if as_json:
        document = {
            "job": f"{job}#1",
            "spider": spider,
            "requests": rows,
            "duplicates": found.duplicates,
            "items": found.items,
            "complete": found.complete,
            "error": found.error,
        }
        call.print_json(document)
    else:
        call.print_lines([f"# {_summary(job, found.requests, found.duplicates, found.items)}"])
    if found.error is not None:
        return call.fail(f"start() of {spider} was ended by {found.error}")
    if not found.complete and not as_json:
        call.print_lines(["# start() yields more, or was interrupted: --limit ends the list here"])
    return 0


def _described(request: Request) -> dict[str, Any]:
    callback = request.callback
    return {
        "url": request.url,
        "method": request.method,
        "callback": "parse" if callback is None else getattr(callback, "__name__", repr(callback)),
        "priority": request.priority,
        "unit": str(request.meta.get("resume_unit") or request.url),
    }


def _line(row: dict[str, Any]) -> str:
    more = [row["callback"]]
    if row["priority"]:
        more.append(f"priority {row['priority']}")
    if row["unit"] != row["url"]:
        more.append(f"unit {row['unit']}")
    return f"{row['method']} {row['url']}  {', '.join(more)}"


def _summary(job: str, requests: int, duplicates: int, items: int) -> str:
    parts = [f"{requests} request" + ("s" if requests != 1 else "")]
    if duplicates:
        parts.append(f"{duplicates} duplicates that are dropped")
    if items:
        parts.append(f"{items} item" + ("s" if items != 1 else "") + " of start() itself")
    return f"there is no job {job}: its first run would begin with {', '.join(parts)}"
