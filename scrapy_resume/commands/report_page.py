"""The report as one HTML file, without scripts and external resources; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from scrapy_resume.commands.formats import duration, job_name_of, number, rate, shortened
from scrapy_resume.commands.report_steps import step_blocks
from scrapy_resume.commands.report_text import eta_of, per_minute, trouble_of, units_of
from scrapy_resume.commands.report_tiles import tiles
from scrapy_resume.commands.svg_plots import Part, columns, escaped, line, stacked
from scrapy_resume.reporting.documents import shown_custom
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.reporting.progress import percent, progress_of
from scrapy_resume.wording import plural

TITLE: Final = "Crawl report"

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Enforced by the browser: no script and no external resource of the page is ever loaded."""

_BADGES: Final = {
    "completed": "good",
    "running": "info",
    "recovering": "info",
    "paused": "warn",
    "cancelled": "warn",
    "initialized": "",
}

_ENDS: Final = ("done", "failed", "ignored")
_FEWEST_SPANS: Final = 3
"""A plot of fewer spans shows nothing that the numbers do not."""

_LEAST_PART: Final = 1 / 6
"""A span of which less has passed is not drawn; of which more, scaled up to a whole one."""

Stage = Mapping[str, Any]


def page(document: Mapping[str, Any]) -> Iterator[str]:
    """The text of the file, in parts."""
    style = files("scrapy_resume.commands").joinpath("report_page.css").read_text(encoding="utf-8")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{TITLE}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )
    yield (
        f'<header><h1>{TITLE}</h1><div class="muted">{_moment(document["generated_at"])}'
        f" · {escaped(document['store'])}</div></header>\n"
    )
    stages: Sequence[Stage] = document["stages"]
    yield tiles(document["total"], stages)
    if stages:
        yield _table(stages)
    else:
        yield '<p class="card">There are no jobs in this store.</p>\n'
    for at, stage in enumerate(stages):
        yield _card(stage, at)
    yield (
        '<footer class="muted small">Times are UTC. Made by <code>scrapy resume report</code>.'
        "</footer>\n</body>\n</html>\n"
    )


def _table(stages: Sequence[Stage]) -> str:
    headings = (
        '<th>job</th><th>status</th><th>progress</th><th class="n">success</th>'
        f'<th class="n">items</th><th class="n">{per_minute(stages)}</th><th>ETA</th>'
        "<th>last progress</th>"
    )
    rows = "".join(_row(stage, at) for at, stage in enumerate(stages))
    return (
        '<section class="card scroll"><table class="overview">'
        f"<thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></section>\n"
    )


def _row(stage: Stage, at: int) -> str:
    name = f'<td class="name"><a href="#job-{at}">{escaped(job_name_of(stage))}</a></td>'
    if stage["requests"] is None:
        return f'<tr>{name}<td>{_badge(stage)}</td><td colspan="6" class="muted">-</td></tr>'
    cells = (
        ("n", "success", percent(stage["success_rate"])),
        ("n", "items", number(stage["items"]["stored"])),
        ("n", f"{nouns_of(stage['kind']).page}s/min", rate(stage["pages_per_minute"])),
        ("when", "ETA", eta_of(stage)),
        ("when", "last progress", _moment(stage["progressed_at"])),
    )
    shown = "".join(
        f'<td class="{kind}" data-name="{label}">{escaped(value)}</td>'
        for kind, label, value in cells
    )
    share = f'<span class="muted small">{percent(stage["progress"])}</span>'
    progress = f'<div class="share">{_bar(stage)}{share}</div>'
    return f'<tr>{name}<td>{_badge(stage)}</td><td class="wide">{progress}</td>{shown}</tr>'


def _card(stage: Stage, at: int) -> str:
    parts = [
        f'<div class="head"><h2>{escaped(job_name_of(stage))}</h2>{_badge(stage)}'
        f'<span class="muted small right">{escaped(_since(stage))}</span></div>'
    ]
    trouble = trouble_of(stage)
    if trouble:
        kind = "bad" if stage["error"] else "warn"
        parts.append(f'<div class="notice {kind}">{escaped(trouble)}</div>')
    if stage["requests"] is not None:
        parts += _body(stage)
    return f'<section class="card" id="job-{at}">{"".join(parts)}</section>\n'


def _body(stage: Stage) -> Iterator[str]:
    yield f'<div style="margin-top:.9rem">{_bar(stage)}{_keys(stage)}</div>'
    yield _unit_bar(stage)
    yield _facts(stage)
    drawn = (_throughput(stage), _open(stage), _errors(stage), *step_blocks(stage), _units(stage))
    blocks = [block for block in drawn if block]
    if blocks:
        yield f'<div class="plots">{"".join(blocks)}</div>'
    yield _more(stage)


def _parts(stage: Stage) -> list[Part]:
    counts, progress = stage["requests"], progress_of(stage)
    return [
        Part("done", counts["done"], "done"),
        Part("failed or parked", counts["failed"] + counts["parked"], "failed"),
        Part("ignored", counts["ignored"], "ignored"),
        Part("open", progress.whole - progress.ended, "open"),
    ]


def _bar(stage: Stage) -> str:
    return stacked(
        _parts(stage),
        f"{percent(stage['progress'])} of the {nouns_of(stage['kind']).request}s have ended",
    )


def _unit_bar(stage: Stage) -> str:
    """Progress by named unit; empty if fewer than two are named."""
    units = progress_of(stage).units
    if units is None:
        return ""
    parts = [
        Part("completed", units.completed, "done"),
        Part("partial, failed or parked", units.ended - units.completed, "failed"),
        Part("open", units.total - units.ended, "open"),
    ]
    words = units.text(stage["units_per_hour"])
    keys = f'<div class="keys small"><span>{escaped(words)}</span></div>'
    return f'<div style="margin-top:.9rem">{stacked(parts, words)}{keys}</div>'


def _keys(stage: Stage) -> str:
    keys = "".join(
        f'<span><span class="key {part.style}"></span>{part.name} {number(part.amount)}</span>'
        for part in _parts(stage)
    )
    return f'<div class="keys small">{keys}</div>'


def _unit_rate(stage: Stage) -> list[tuple[str, str]]:
    if progress_of(stage).units is None or not stage["units_per_hour"]:
        return []
    return [("units an hour", rate(stage["units_per_hour"]))]


def _facts(stage: Stage) -> str:
    runs = len(stage["runs"])
    facts = [
        ("success", percent(stage["success_rate"])),
        ("items", number(stage["items"]["stored"])),
        (f"{nouns_of(stage['kind']).page}s a minute", rate(stage["pages_per_minute"])),
        ("items a minute", rate(stage["items_per_minute"])),
        *_unit_rate(stage),
        ("time", f"{duration(stage['elapsed_seconds'])} in {runs} run{'s'[: runs != 1]}"),
        ("ETA", eta_of(stage)),
        ("last progress", _moment(stage["progressed_at"])),
    ]
    facts += [(str(name), str(value)) for name, value in stage["metadata"].items()]
    facts += shown_custom(stage.get("custom") or {}, stage.get("custom_shares"))
    shown = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(fact)}</dd></div>" for name, fact in facts
    )
    return f"<dl>{shown}</dl>"


def _throughput(stage: Stage) -> str:
    spans, minutes = stage["spans"], stage["span_minutes"]
    if len(spans) < _FEWEST_SPANS:
        return ""
    whole, remark = _whole_spans(spans, minutes)
    values = [[Part(name, span[name] * factor, name) for name in _ENDS] for span, factor in whole]
    labels = [
        f"{_moment(span['at'])}: {number(span['done'])} done, {number(span['failed'])} failed,"
        f" {number(span['ignored'])} ignored, {number(span['items'])}"
        f" {plural(span['items'], 'item')}"
        for span, _ in whole
    ]
    highest = max(sum(part.amount for part in parts) for parts in values)
    each = "a minute" if minutes == 1 else f"in {_span(minutes)}"
    title = f"{nouns_of(stage['kind']).request.title()}s that ended {each}"
    shown = [span for span, _ in whole]
    return _plot(title, columns(values, labels), highest, shown, remark)


def _whole_spans(
    spans: Sequence[Mapping[str, Any]], minutes: int
) -> tuple[list[tuple[Mapping[str, Any], float]], str]:
    """Spans with the factors by which they are drawn, and what is to be said of the last one: a
    span of which only a part has passed would look as if the crawl had collapsed."""
    whole = [(span, 1.0) for span in spans]
    last, seconds = spans[-1], 60 * minutes
    passed = last["seconds"]
    if passed >= seconds:
        return whole, ""
    kind = "minute" if minutes == 1 else f"{_span(minutes)}"
    if passed < seconds * _LEAST_PART:
        return whole[:-1], f"without the last {kind}, of which only {duration(passed)} had passed"
    remark = f"the last {kind} is scaled up from the {duration(passed)} of it that had passed"
    return [*whole[:-1], (last, seconds / passed)], remark


def _open(stage: Stage) -> str:
    spans = stage["spans"]
    if len(spans) < _FEWEST_SPANS:
        return ""
    labels = [f"{_moment(span['at'])}: {number(span['open'])} open" for span in spans]
    drawn = line([span["open"] for span in spans], labels)
    return _plot(
        f"Open {nouns_of(stage['kind']).request}s",
        drawn,
        max(span["open"] for span in spans),
        spans,
    )


def _plot(
    title: str,
    drawn: str,
    highest: float,
    spans: Sequence[Mapping[str, Any]],
    remark: str = "",
) -> str:
    first, last = _moment(spans[0]["at"]), _moment(spans[-1]["at"])
    if last[:10] == first[:10]:
        last = last[11:]
    top = f'<span class="top">{number(highest)}</span>'
    axis = f'<div class="axis"><span>{first}</span><span>{last}</span></div>'
    said = f'<div class="muted small">{escaped(remark)}</div>' if remark else ""
    return f'<div><h3>{escaped(title)}</h3><div class="plot">{top}{drawn}</div>{axis}{said}</div>'


def _errors(stage: Stage) -> str:
    groups = stage["failures"]
    if not groups:
        return ""
    most = max(group["count"] for group in groups)
    rows, page = [], nouns_of(stage["kind"]).page
    for group in groups:
        status = f" HTTP {group['http_status']}" if group["http_status"] else ""
        message = shortened(group["error_message"], 160)
        urls = "".join(f"<li><code>{escaped(url)}</code></li>" for url in group["examples"])
        rows.append(
            f"<li><b>{number(group['count'])}</b> {escaped(group['error'])}{status}"
            f'<div class="meter" style="width:{100 * group["count"] / most:.1f}%"></div>'
            f"<details><summary>{escaped(message) or f'{page}s'}</summary>"
            f'<ul class="urls">{urls}</ul></details></li>'
        )
    return f'<div><h3>Failures by error</h3><ul class="errors">{"".join(rows)}</ul></div>'


def _units(stage: Stage) -> str:
    """A table of units, those in progress first; empty if there are fewer than two."""
    counts = units_of(stage)
    if counts is None:
        return ""
    rows = "".join(
        f'<tr><td class="host">{escaped(unit["unit"] or "?")}</td><td>{escaped(unit["state"])}</td>'
        f"{_numbers(unit, _UNIT_COLUMNS)}</tr>"
        for unit in stage["units_first"]
    )
    more = stage["units"]["total"] - len(stage["units_first"])
    left_out = f'<div class="muted small">and {number(more)} more</div>' if more else ""
    listed = _listed("Units", ("unit", "state", *_UNIT_COLUMNS), rows)
    return f'<div>{listed}<div class="muted small">{escaped(counts)}</div>{left_out}</div>'


def _history(stage: Stage) -> str:
    """Attempts and rounds of retry by day, if there were rounds."""
    if not any(day["rounds"] for day in stage["history"]):
        return ""
    rows = "".join(
        f"<tr><td>{escaped(day['day'])}</td>{_numbers(day, _DAY_COLUMNS)}"
        f'<td class="n">{percent(day["success_rate"])}</td></tr>'
        for day in stage["history"]
    )
    return _listed("Retries by day", ("day", *_DAY_COLUMNS, "success"), rows)


def _more(stage: Stage) -> str:
    statuses = "".join(
        f'<tr><td class="n">{row["http_status"]}</td><td class="n">{number(row["count"])}</td></tr>'
        for row in stage["by_status"]
    )
    hosts = "".join(
        f'<tr><td class="host">{escaped(row["host"])}</td>{_numbers(row, _HOST_COLUMNS)}</tr>'
        for row in stage["by_host"]
    )
    runs = "".join(_run(run) for run in stage["runs"][-10:])
    nouns = nouns_of(stage["kind"])
    blocks = [
        ("HTTP statuses", ("status", "requests"), statuses),
        ("Hosts", ("host", "requests", *_HOST_COLUMNS[1:]), hosts),
        ("Runs", ("run", f"{nouns.page}s", "items", "status", "started", "ended", "worker"), runs),
    ]
    shown = "".join(_listed(*block) for block in blocks if block[2]) + _history(stage)
    summary = "HTTP statuses, hosts, runs" if nouns.has_http else "Runs"
    if stage["counted"] < stage["requests"]["total"]:
        last = f"{number(stage['counted'])} {nouns.request}s that were discovered last"
        summary += f" (counts of the {last})"
    return (
        f'<details class="more"><summary>{summary}</summary><div class="plots">{shown}</div>'
        "</details>"
    )


_UNIT_COLUMNS: Final = ("open", "done", "failed", "items")
_DAY_COLUMNS: Final = ("attempts", "rounds", "retried", "done", "failed")
_HOST_COLUMNS: Final = ("total", "open", "done", "failed")
_NUMBERS: Final = frozenset(
    {"status", "requests", "open", "run", "pages", "tasks", "items", "success", *_DAY_COLUMNS}
)


def _listed(title: str, headings: Sequence[str], rows: str) -> str:
    counted = _NUMBERS - ({"status"} if title == "Runs" else set())
    shown = "".join(
        f'<th class="n">{name}</th>' if name in counted else f"<th>{name}</th>" for name in headings
    )
    kind = "scroll runs" if title == "Runs" else "scroll"
    return (
        f'<div class="{kind}"><h3>{title}</h3><table><thead><tr>{shown}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _numbers(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """A cell for each of the values."""
    return "".join(f'<td class="n">{number(row[name])}</td>' for name in names)


def _run(run: Mapping[str, Any]) -> str:
    numbers = _numbers(run, ("number", "pages", "items"))
    reason = f" ({run['reason']})" if run["reason"] else ""
    ended = _moment(run["ended_at"]) if run["ended_at"] else "-"
    words = (run["status"] + reason, _moment(run["started_at"]), ended, run["worker"])
    return f"<tr>{numbers}{''.join(f'<td>{escaped(word)}</td>' for word in words)}</tr>"


def _badge(stage: Stage) -> str:
    kind = _BADGES.get(stage["status"], "bad")
    stale = ' <span class="badge warn">stale</span>' if stage["stale"] else ""
    return f'<span class="badge {kind}">{escaped(stage["status"])}</span>{stale}'


def _since(stage: Stage) -> str:
    if stage["requests"] is None:
        return ""
    by = f"spider {stage['spider']}" if nouns_of(stage["kind"]).has_http else stage["kind"]
    reason = f"{stage['reason']}, " if stage["reason"] else ""
    return f"{reason}{by}, since {_moment(stage['created_at'])}"


def _moment(moment: str | None) -> str:
    """``2024-05-01T10:00:00Z`` → ``2024-05-01 10:00``."""
    return "-" if moment is None else moment[:16].replace("T", " ")


def _span(minutes: int) -> str:
    if minutes % 60:
        return f"{minutes} min"
    return "an hour" if minutes == 60 else f"{minutes // 60} h"
