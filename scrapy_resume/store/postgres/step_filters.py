"""Where a database of jobs has what conditions on steps are about."""

from __future__ import annotations

from typing import Final

from scrapy_resume.store.postgres.selection import POSTGRES
from scrapy_resume.store.transaction.step_filters import StepPlaces

VISIBLE: Final = (
    "CASE s.updates WHEN 1 THEN (SELECT v.id FROM scrapy_resume.item AS v"
    " WHERE v.job = s.job AND v.key = s.key)"
    " ELSE (SELECT v.id FROM scrapy_resume.item AS v WHERE v.job = s.job"
    " AND v.request = s.request AND v.occurrence = s.occurrence AND v.key IS NULL) END"
)
"""The id of the visible item of ``s``, an item with steps."""

PLACES: Final = StepPlaces(
    dialect=POSTGRES,
    has_name=(
        "t.kind = (SELECT k.id FROM scrapy_resume.step_kind AS k"
        " WHERE k.job = %(job)s AND k.name = %(step)s)"
    ),
    with_keys=(
        "t.item = ANY(ARRAY(SELECT w.id FROM scrapy_resume.stepped AS w"
        " WHERE w.job = %(job)s AND w.key = ANY(%(keys)s::text[])))"
    ),
    visible=f"scrapy_resume.item AS i WHERE i.job = %(job)s AND i.id = ({VISIBLE})",
)
