"""What the store knows of ``start()`` in earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.store.postgres.statements import COMMIT
from scrapy_resume.store.transaction.selection import UNRECORDED

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Session
    from scrapy_resume.store.postgres.connections import Link


class EarlierStarts:
    """The part of a job that reads it."""

    session: Session
    _link: Link
    _job: int

    def start_items(self) -> int:
        """How many items of ``start()`` the job has."""
        with self._link.transaction() as connection:
            rows = connection.execute(COMMIT["start_items"], {"job": self._job}).fetchall()
        return int(rows[0][0])

    def starts_not_met(self, count: int) -> list[tuple[str, str]]:
        """Requests of ``start()`` in earlier runs; see ``JobStore``."""
        values = {"job": self._job, "run": self.session.run, "count": count}
        with self._link.transaction() as connection:
            return connection.execute(
                COMMIT["starts_not_met"], {**values, "unrecorded": UNRECORDED}
            ).fetchall()
