"""Where a job's file has what conditions on steps are about."""

from __future__ import annotations

from typing import Final

from scrapy_resume.store.sqlite.selection import SQLITE
from scrapy_resume.store.transaction.step_filters import StepPlaces

VISIBLE: Final = (
    "CASE s.updates WHEN 1 THEN (SELECT id FROM item WHERE key = s.key) ELSE ("
    "SELECT id FROM item WHERE request = s.request AND occurrence = s.occurrence AND key IS NULL)"
    " END"
)
"""The id of the visible item of ``s``, an item with steps."""

PLACES: Final = StepPlaces(
    dialect=SQLITE,
    has_name="t.kind = (SELECT k.id FROM step_kind AS k WHERE k.name = :step)",
    with_keys=(
        "t.item IN (SELECT w.id FROM json_each(:keys) AS j CROSS JOIN stepped AS w"
        " WHERE w.key = j.value)"
    ),
    visible=f"item AS i WHERE i.id = {VISIBLE}",
)
