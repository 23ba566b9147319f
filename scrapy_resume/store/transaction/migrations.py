"""The version of a backend's schema, and the steps that lead to it from older versions.

``sql/<backend>/schema.sql`` is the newest schema, for new stores. Every change of it comes with a
file ``sql/<backend>/migrations/<version>_<what>.sql`` that makes the same change to a store of
the version before. Each backend applies a step and records its version in one transaction: the
step is applied whole, or the next start tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scrapy_resume.store.transaction.queries import sql_folder

if TYPE_CHECKING:
    from importlib.abc import Traversable


class Migration(NamedTuple):
    """One step from the version before."""

    version: int
    """The version that it leads to."""
    script: str


class Schema:
    """A backend's schema, as this package knows it."""

    def __init__(self, backend: str) -> None:
        self.migrations = load_migrations(sql_folder(backend) / "migrations")

    @property
    def version(self) -> int:
        """The newest version; stores of newer ones are refused."""
        return 1 + len(self.migrations)

    def after(self, version: int) -> list[Migration]:
        """The steps that a store of that version lacks, in order."""
        return [migration for migration in self.migrations if migration.version > version]


def load_migrations(folder: Traversable) -> list[Migration]:
    """The steps in a folder, by version; none if there is no folder.

    Raises ``ValueError`` if their versions are not 2, 3, 4 and so on: the files are part of the
    package, so that is a defect of it.
    """
    found = [
        Migration(int(entry.name.partition("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name.endswith(".sql")
    ]
    found.sort()
    if [migration.version for migration in found] != list(range(2, len(found) + 2)):
        raise ValueError("a version of the migrations is missing, or occurs twice")
    return found
