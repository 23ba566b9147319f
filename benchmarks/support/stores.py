"""A new store for each crawl, of the kind that a benchmark was asked for."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from tests.support.postgres import PostgresServer


def add_option(parser: argparse.ArgumentParser) -> None:
    """``--store``"""
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")


class Stores:
    """As a context it brings the server, if there is one."""

    def __init__(self, kind: str) -> None:
        self._opened = ExitStack()
        self.server = PostgresServer() if kind == "postgres" else None

    def __enter__(self) -> Stores:
        if self.server is not None:
            self._opened.enter_context(self.server)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def new(self, folder: Path) -> Path | str:
        """A directory in the folder, or the URL of an empty database."""
        return folder / "store" if self.server is None else self.server.new_database()
