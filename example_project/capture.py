"""The screen of `scrapy resume status` as a picture: `python capture.py JOB FILE.svg`.

The picture in the README shows a crawl of the shop, `python shop_site.py --latency 6`.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from scrapy.utils.project import get_project_settings

from scrapy_resume import open_store
from scrapy_resume.commands.status_screen import drawn, look
from scrapy_resume.settings.location import store_location

WIDTH = 92
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""References to fonts of other servers; they are removed, so that the picture loads nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    store = open_store(store_location(get_project_settings()))
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        markup=False,
        highlight=False,
    )
    console.print(drawn(console, look(store, options.job)))
    picture = console.export_svg(
        title="scrapy resume status books --watch", theme=MONOKAI, unique_id="status"
    )
    options.file.write_text(FONTS.sub("", picture), encoding="utf-8")


if __name__ == "__main__":
    main()
