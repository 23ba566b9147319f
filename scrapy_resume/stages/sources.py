"""Inputs that are the items of another job: whether more of them are to come."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy_resume.reporting.job_items import JobItems

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey

logger = logging.getLogger("scrapy_resume")


def have_ended(inputs: object, stage: JobKey) -> bool:
    """Whether inputs that were read to their end are all that there will be. Warns if they are not:
    the stage must not be completed then."""
    if not isinstance(inputs, JobItems) or inputs.unfinished is None:
        return True
    logger.warning(
        "%s has read the items of %s, which is %s: more may follow. So the stage is not completed; "
        "run the program again when %s has gone on.",
        stage,
        inputs.job,
        inputs.unfinished,
        inputs.job,
    )
    return False
