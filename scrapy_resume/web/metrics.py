"""``/metrics`` for Prometheus: of each crawl, by its name, the latest number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from scrapy_resume.model import LIVE_STATUSES, State
from scrapy_resume.reporting.times import seconds_of
from scrapy_resume.web.answers import Answer
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.words import shown


def exposition(ask: Ask, accept: str) -> Answer:
    """The metrics as OpenMetrics, or in the older text format, whichever is accepted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobCollector(ask))
    encode, media_type = choose_encoder(accept)
    return Answer(encode(registry), media_type)


class JobCollector(Collector):
    """The metrics of the jobs of one store, now."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def describe(self) -> list[Metric]:
        """Nothing: they are not known before they are asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        requests = GaugeMetricFamily(
            "scrapy_resume_requests", "Requests by state.", labels=["crawl", "state"]
        )
        steps = GaugeMetricFamily(
            "scrapy_resume_steps", "Steps of items by state.", labels=["crawl", "step", "state"]
        )
        workers = GaugeMetricFamily("scrapy_resume_workers", "Live workers.", labels=["crawl"])
        progress = GaugeMetricFamily(
            "scrapy_resume_last_progress_timestamp_seconds",
            "When the crawl committed last, in seconds since the epoch.",
            labels=["crawl"],
        )
        responses = CounterMetricFamily(
            "scrapy_resume_responses", "Responses, over all runs.", labels=["crawl"]
        )
        items = CounterMetricFamily(
            "scrapy_resume_items", "Items, over all runs.", labels=["crawl"]
        )
        readable = GaugeMetricFamily(
            "scrapy_resume_readable",
            "0: the job is damaged, or of a newer version.",
            labels=["crawl"],
        )
        for document in self._latest():
            crawl = shown(document["job"])
            readable.add_metric([crawl], float(document["requests"] is not None))
            if document["requests"] is None:
                continue
            for state in State.__members__:
                requests.add_metric([crawl, state], document["requests"][state])
            for step, states in (document.get("steps") or {}).items():
                for state, count in states.items():
                    steps.add_metric([crawl, shown(step), state], count)
            runs = document["runs"]
            workers.add_metric([crawl], sum(run["status"] in LIVE_STATUSES for run in runs))
            progress.add_metric([crawl], seconds_of(document["updated_at"]))
            responses.add_metric([crawl], sum(run["pages"] for run in runs))
            items.add_metric([crawl], sum(run["items"] for run in runs))
        yield from (requests, steps, workers, progress, responses, items, readable)

    def _latest(self) -> list[dict[str, Any]]:
        stamps = self._ask.pages.stamps()
        latest = {key.name: key for key in sorted(stamps, key=lambda key: key.number)}
        documents = self._ask.board.documents
        found = (documents.of(self._ask.reports, key, stamps[key]) for key in latest.values())
        return [document for document in found if document is not None]
