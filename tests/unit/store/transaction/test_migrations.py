from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_resume.store.transaction.migrations import load_migrations


def test_a_gap_between_migrations_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    assert load_migrations(folder) == []
    folder.mkdir()
    (folder / "0002_colours.sql").write_text("SELECT 1;")
    (folder / "README").touch()
    assert [migration.version for migration in load_migrations(folder)] == [2]
    (folder / "0004_shapes.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match="missing"):
        load_migrations(folder)
