"""What it costs every ``scrapy`` command that the package is installed: ``scrapy list`` with it and
without, in turn.

    python benchmarks/scrapy_list.py --pairs 20

The CPU is user and system time of the whole process. Without the package, Scrapy does not find the
entry points of its distribution, and ADDONS does not name it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.tables import table

SPIDER = "import scrapy\n\nclass Books(scrapy.Spider):\n    name = 'books'\n"
HIDDEN = """
import importlib.metadata as metadata
found = metadata.entry_points
def others(**wanted):
    return metadata.EntryPoints(
        one for one in found(**wanted) if not one.value.startswith("scrapy_resume")
    )
metadata.entry_points = others
"""
LIST = "from scrapy.cmdline import execute; execute(['scrapy', 'list'])"


def project(folder: Path, *, installed: bool) -> Path:
    """A project with one spider."""
    place = folder / ("with" if installed else "without")
    (place / "shop").mkdir(parents=True)
    (place / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    addons = "ADDONS = {'scrapy_resume.Addon': 500}\n" if installed else ""
    (place / "shop" / "settings.py").write_text(f"SPIDER_MODULES = ['shop.spiders']\n{addons}")
    (place / "shop" / "__init__.py").touch()
    (place / "shop" / "spiders.py").write_text(SPIDER)
    return place


def cost(place: Path, *, installed: bool) -> tuple[float, float]:
    """(CPU, wall time) of a run in milliseconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = LIST if installed else HIDDEN + LIST
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=os.environ, check=True, capture_output=True
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if found.stdout.split() != [b"books"]:
        raise SystemExit(found.stderr.decode())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * cpu, 1e3 * wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="runs of each kind")
    options = parser.parse_args()
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        places = {kind: project(Path(folder), installed=kind) for kind in (True, False)}
        for kind in (True, False):
            cost(places[kind], installed=kind)  # compiles the modules
        for number in range(options.pairs):
            for kind in (number % 2 == 0, number % 2 != 0):
                found[kind].append(cost(places[kind], installed=kind))
    rows = []
    for name, reduce in (("median", median), ("minimum", min)):
        for place, what in enumerate(("CPU", "wall")):
            without, with_it = (
                reduce([one[place] for one in found[kind]]) for kind in (False, True)
            )
            rows.append(
                [f"{what}, {name}", f"{without:.1f}", f"{with_it:.1f}", f"{with_it - without:.1f}"]
            )
    print(table(("ms", "without", "installed", "more"), rows))


if __name__ == "__main__":
    main()
