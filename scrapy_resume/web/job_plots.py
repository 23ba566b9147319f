"""What is drawn of a job over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.times import iso, seconds_of
from scrapy_resume.web.job_frame import say_of
from scrapy_resume.web.plots import Line, Part, bar, columns, lines
from scrapy_resume.wording import counted


def plots_of(series: Mapping[str, Any]) -> dict[str, Any]:
    """The plots of ``documents.timeseries``, and the same as rows of a table."""
    spans = series["spans"]
    if not spans:
        return {}

    def per_minute(span: Mapping[str, Any], name: str) -> float:
        return float(60 * span[name] / max(span["seconds"], 1))

    labels = [_label(span["at"]) for span in spans]
    rates = {
        name: [per_minute(span, name) for span in spans] for name in ("pages", "items", "failed")
    }
    done, total = [], 0
    for span in spans:
        total += span["done"] + span["ignored"]
        done.append(float(total))
    opened = [float(span["open"]) for span in spans]
    plots: dict[str, Any] = {
        name: columns(
            [[Part(value, f"series-{name}")] for value in values],
            [
                f"{label}: {value:,.1f} a minute"
                for label, value in zip(labels, values, strict=True)
            ],
        )
        for name, values in rates.items()
    }
    plots["peaks"] = {name: max(values) for name, values in rates.items()}
    plots["open"] = lines(
        [Line(opened, "series-open"), Line(done, "series-done")],
        [
            f"{label}: {one:,.0f} open, {other:,.0f} done since the plot begins"
            for label, one, other in zip(labels, opened, done, strict=True)
        ],
    )
    plots["open_peak"] = max([*opened, *done])
    plots["first"], plots["last"] = spans[0]["at"], spans[-1]["at"]
    plots["rates"] = list(zip(spans, rates["pages"], rates["items"], rates["failed"], strict=True))
    return {**plots, **_statuses(series)}


def _statuses(series: Mapping[str, Any]) -> dict[str, Any]:
    """HTTP statuses stacked by span, by class."""
    step = 60 * series["span_minutes"]
    found: dict[int, Counter[str]] = {}
    for row in series["answered"]:
        at = int(seconds_of(row["at"]) // step) * step
        found.setdefault(at, Counter())[f"{row['http_status'] // 100}xx"] += row["count"]
    if not found:
        return {"statuses": None, "classes": [], "status_rows": []}
    classes = sorted({name for counts in found.values() for name in counts})
    first, last = min(found), max(found)
    moments = range(max(first, last - 119 * step), last + step, step)
    rows = [(at, found.get(at, Counter())) for at in moments]
    plot = columns(
        [[Part(counts[name], f"http-{name}") for name in classes] for _, counts in rows],
        [
            ", ".join([_label_of(at), *(f"{name} {counts[name]:,}" for name in classes)])
            for at, counts in rows
        ],
    )
    totals = [(name, sum(counts[name] for _, counts in rows)) for name in classes]
    return {"statuses": plot, "classes": totals, "status_rows": [row for row in rows if row[1]]}


def _label(at: str) -> str:
    return f"{at[5:10]} {at[11:16]} UTC"


def _label_of(at: float) -> str:
    return _label(iso(at))


def latency_bars(rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Of each host a bar to its 95th percentile, on one scale; the median's part is darker."""
    longest = max((row["p95_seconds"] for row in rows), default=0.0)
    return [
        bar(
            [
                Part(row["median_seconds"], "median"),
                Part(row["p95_seconds"] - row["median_seconds"], "p95"),
            ],
            longest,
        )
        for row in rows
    ]


def run_spans(document: Mapping[str, Any], now: float) -> list[tuple[float, float, str, str]]:
    """The runs as shares of the time from the first one's start."""
    runs, noun = document["runs"], say_of(document).ended.removesuffix("s")
    if not runs:
        return []
    began = seconds_of(runs[0]["started_at"])
    ends = [seconds_of(run["ended_at"] or run["started_at"]) for run in runs]
    live = document["status"] in LIVE_STATUSES
    last = max([*ends, now if live else seconds_of(document["updated_at"])])
    whole = max(last - began, 1.0)
    spans = []
    for number, run in enumerate(runs):
        following = seconds_of(runs[number + 1]["started_at"]) if number + 1 < len(runs) else last
        is_live = run["status"] in LIVE_STATUSES
        end = seconds_of(run["ended_at"]) if run["ended_at"] else last if is_live else following
        start = seconds_of(run["started_at"])
        label = f"run {run['number']}: {run['status']}, {counted(run['pages'], noun)}"
        spans.append(((start - began) / whole, (end - began) / whole, run["status"], label))
    return spans
