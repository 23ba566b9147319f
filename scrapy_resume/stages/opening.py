"""Opens the job of a stage: the project's settings that concern it, and the job of its name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from scrapy.settings import BaseSettings

from scrapy_resume.codec import Codec
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import STAGE
from scrapy_resume.run.launch import launch_of_program
from scrapy_resume.run.open_job import Candidate, open_job
from scrapy_resume.settings.location import project_settings
from scrapy_resume.settings.parse import parse_settings
from scrapy_resume.settings.table import SETTINGS
from scrapy_resume.settings.trusted import trusted_packages
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.feedexport import ResumeFeedExporter
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.store.contract import JobStore

OF_CRAWLS: Final = frozenset(
    {
        "RESUME_ENABLED",
        "RESUME_JOB",
        "RESUME_MODE",
        "RESUME_FORCE",
        "RESUME_START",
        "RESUME_DELTA_START",
        "RESUME_ORDER",
        "RESUME_ITEM_KEY",
        "RESUME_ITEM_DUPLICATES",
        "RESUME_STATS",
        "RESUME_STATE",
        "RESUME_INPUT_FILES",
        "RESUME_ON_INPUT_CHANGE",
        "RESUME_METADATA",
        "RESUME_HOSTS",
        "RESUME_SKIP",
        "RESUME_PROGRESS_EVERY",
    }
)
"""Settings of a project that are about its crawls, and not about its stages."""

MODES: Final = ("auto", "fresh", "resume", "once", "retry-failed")


# One field for each parameter of ``Stage``: always built by keyword.
@dataclass(frozen=True)
class StagePlan:
    """What ``Stage`` was told."""

    name: str
    store: Any = None
    total: float | None = None
    input_files: tuple[str, ...] = ()
    on_input_change: str = "refuse"
    mode: str = "auto"
    force: bool = False
    metadata: Mapping[str, object] = field(default_factory=dict)
    feeds: Mapping[str, Any] = field(default_factory=dict)
    item_key: Any = None
    progress_every: int = 100
    module: str = "__main__"
    """Of the code that made the stage: what it names may be restored."""


@dataclass(frozen=True)
class OpenedStage:
    """The job of a stage, open for writing."""

    job: JobStore
    feeds: ResumeFeedExporter | None
    """``None``: the stage has none."""
    settings: ResumeSettings
    project: BaseSettings
    codec: Codec


def stage_settings(plan: StagePlan, project: BaseSettings) -> ResumeSettings:
    """The settings of the stage. Raises ``ConfigurationError``, which names the parameter."""
    if not isinstance(plan.name, str) or not plan.name:
        raise ConfigurationError(f"the name of a stage is {plan.name!r}; it must be a text")
    if plan.mode not in MODES:
        raise ConfigurationError(
            f"mode of stage {plan.name!r} is {plan.mode!r}; it must be one of {', '.join(MODES)}"
        )
    given = BaseSettings()
    names = [row.name for row in SETTINGS if row.name not in OF_CRAWLS]
    for name in names:
        if project.get(name) is not None:
            given.set(name, project.get(name))
    own = {
        "RESUME_JOB": plan.name,
        "RESUME_MODE": plan.mode,
        "RESUME_FORCE": plan.force,
        "RESUME_INPUT_FILES": [os.fspath(path) for path in plan.input_files],
        "RESUME_ON_INPUT_CHANGE": plan.on_input_change,
        "RESUME_METADATA": dict(plan.metadata),
        "RESUME_ITEM_KEY": plan.item_key,
        "RESUME_PROGRESS_EVERY": plan.progress_every,
        "RESUME_HOSTS": "shared",
    }
    if plan.store is not None:
        own["RESUME_STORE"] = plan.store
    for name, value in own.items():
        if value is not None:
            given.set(name, value)
    return replace(parse_settings(given), breaker_failures=0)


def open_stage(plan: StagePlan) -> OpenedStage:
    """Open the job of a stage; see ``open_job`` for the errors. Nothing is changed by a start that
    is refused."""
    project = project_settings()
    settings = stage_settings(plan, project)
    packages = (plan.module.partition(".")[0], *trusted_packages(project))
    codec = Codec(None, settings.codecs, packages, settings.renamed)
    feeds = None
    if plan.feeds:
        from scrapy_resume.stages.stage_feeds import make_feeds

        feeds = make_feeds(plan.name, plan.feeds, project)
    candidate = Candidate(
        name=plan.name,
        spider=plan.name,
        arguments={},
        settings=settings,
        launch=launch_of_program(),
        kind=STAGE,
    )
    store = open_location(settings.store)
    job = open_job(store, candidate)
    if not plan.metadata and not job.session.began:
        settings = replace(settings, metadata=store.summary(job.session.job).metadata)
    return OpenedStage(job, feeds, settings, project, codec)
