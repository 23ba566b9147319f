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
from importlib.util import find_spec

from scenarios.every import SCENARIOS
from scenarios.site import Site
from scenarios.stage import Stage, Untrue, say


def play(name: str, folder: Path, postgres: str | None) -> bool:
    """Plays one scenario in that directory. Returns whether all that it showed was true."""
    scenario = SCENARIOS[name]
    say(f"\n== {name}: {(scenario.__doc__ or '').splitlines()[0]}")
    with ExitStack() as opened:
        site = opened.enter_context(Site().open())
        stage = opened.enter_context(Stage(folder, site, postgres=postgres).closing())
        try:
            scenario(stage)
        except Untrue as error:
            say(f"\n  ✗ {error}")
            return False
    return True


def main() -> int:
    """Exit code 1 if a scenario showed what is not true; its files are kept then."""
    parser = argparse.ArgumentParser(prog="scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--postgres", metavar="URL", help="an empty database, for the workers")
    parser.add_argument("--keep", action="store_true", help="keep the projects and the stores")
    options = parser.parse_args()
    unknown = set(options.names) - set(SCENARIOS)
    if unknown:
        parser.error(
            f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}"
        )
    if find_spec("scrapy_resume") is None:
        print("scrapy-resume is not installed: pip install scrapy-resume", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="scrapy-resume-scenarios-"))
    names = options.names or list(SCENARIOS)
    failed = []
    for name in names:
        (folder / name).mkdir()
        if not play(name, folder / name, options.postgres):
            failed.append(name)
    if options.keep or failed:
        say(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder)
    say(
        f"\n{len(names) - len(failed)} of {len(names)} scenarios are true"
        + "".join(f"; not {name}" for name in failed)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
