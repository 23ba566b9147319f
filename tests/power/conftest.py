"""One bench for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.power.bench import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("power")) as bench:
        yield bench
