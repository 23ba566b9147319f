"""Images of a power cut again, one or many, to see what becomes of them.

    python -m tests.power.again --recording full --seed 7 --numbers 12 13 --folder /tmp/seen

Prints the verdicts, and keeps each image whose job did not become whole, before and after, in
``image-12`` and ``resumed-12``. The events of a recording depend on how fast the machine was, so
another recording gives other images; the one that is in the folder is used again. The folder of
a test that has failed is ``power0`` in that of its session. Exit code 0 if all were whole.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.power.bench import NAMES, Bench
from tests.power.crawls import put
from tests.power.images import image


def seen_again(options: argparse.Namespace, folder: Path) -> bool:
    """Whether all images became whole."""
    broken = 0
    with Bench(folder) as bench:
        recording, judge = bench.recording(options.recording), bench.judge(options.recording)
        began = time.monotonic()
        numbers = options.numbers or range(options.first, options.first + options.count)
        for number in numbers:
            verdict = judge.verdict(image(recording, options.seed, number))
            if verdict.faults:
                broken += 1
                print(f"{verdict}\n", flush=True)
                put(verdict.image.tree, folder / f"image-{number}")
                to = folder / f"resumed-{number}"
                shutil.copytree(judge.crawls.disk, to, dirs_exist_ok=True)
        seconds = time.monotonic() - began
    print(f"{options.recording}: {broken} of {len(numbers)} were not whole, {seconds:.0f} s")
    return not broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", default="normal", help=f"{NAMES}, or full+7")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--numbers", type=int, nargs="*", help="these images")
    parser.add_argument("--first", type=int, default=0, help="or so many from this one on")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="where to keep what is not whole")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(0 if seen_again(options, options.folder or Path(temporary)) else 1)


if __name__ == "__main__":
    main()
